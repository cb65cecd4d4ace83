"""aria-db: archiving of AI chat sessions in PostgreSQL."""

__version__ = "0.1.0"

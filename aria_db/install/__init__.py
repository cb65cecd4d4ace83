"""Install aria-db in a database: the revisions, what they install, adoption.

``migrate`` runs the revisions, ``adoption`` adopts the chat tables of an existing database
first, ``sql_objects`` has the Alembic operations that install the files of ``sql/``, and
``resources`` says where the files are. ``include_name`` is for an application that has revisions of
its own in the same database.
"""

from aria_db.install.autogenerate import include_name

__all__ = ["include_name"]

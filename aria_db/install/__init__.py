"""Install aria-db in a database: the revisions, what they install, adoption.

``migrate`` runs the revisions, and ``adoption`` first adopts the chat tables of an existing
database. ``operations`` has the Alembic operations that install the files of ``sql/``,
``sql_objects`` reads these files, and ``resources`` says where they are. ``schemas`` finds the
schema in which aria-db is installed. ``include_name`` is for an application that has revisions of
its own in the same database.
"""

from aria_db.install.autogenerate import include_name

__all__ = ["include_name"]

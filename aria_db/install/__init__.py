"""Install aria-db in a database: the revisions, what they install, adoption.

``migrate`` runs the revisions, ``adoption`` adopts the chat tables of an existing database
first, ``sql_objects`` has the Alembic operations that install the files of ``sql/``, and
``resources`` says where the files are.
"""

-- engine_archive_dependent: what a move does with the rows of tables that refer to chat rows.
--
-- set_archive_dependent() writes it. A table without a row here is refused: AR005. Keyed by names,
-- as a backup and a restored database have them.
CREATE TABLE engine_archive_dependent (
    schema_name text,
    table_name text,
    handling text NOT NULL CHECK (handling IN ('move', 'delete', 'detach', 'refuse')),
    -- where archived rows of the table are, in the same schema; kept when the handling changes,
    -- so that a restore brings them back all the same
    archive_table text,
    set_by text NOT NULL DEFAULT session_user,
    set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (schema_name, table_name),
    CHECK (handling <> 'move' OR archive_table IS NOT NULL)
);

COMMENT ON TABLE engine_archive_dependent IS
'What a move does with the rows of each table that refers to chat rows: move, delete, detach or refuse.';

REVOKE ALL ON TABLE engine_archive_dependent FROM public;

-- set_archive_dependent: says what a move does with the rows of a table that refers to chat rows.
--
-- move: they move with their session, into <table>_archive in the schema of the table, which is
-- created where it is absent, with archived_at, archived_session_id and every column of the table.
-- Called again, it adds the columns that the table has got since. delete, for keys ON DELETE CASCADE:
-- the key deletes them. detach, for ON DELETE SET NULL and SET DEFAULT: the key lets them go. refuse:
-- the move is refused, as where nothing was said. What was archived under another handling comes back
-- with its session all the same.
--
-- For the owner of the functions, who must be allowed to read and write the table. A table that refers
-- to such a table is set after it.
CREATE OR REPLACE FUNCTION set_archive_dependent(schema_name text, table_name text, handling text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
AS $function$
DECLARE
    v_table CONSTANT oid := to_regclass(format('%I.%I', schema_name, table_name));
    v_actions text;
    v_archive text;
    v_grantee text;
    v_column record;
BEGIN
    IF (handling IN ('move', 'delete', 'detach', 'refuse')) IS NOT TRUE THEN
        RAISE EXCEPTION 'handling is %, and must be move, delete, detach or refuse', coalesce(handling, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say what becomes of the rows that refer to a session when it is archived.';
    END IF;

    SELECT string_agg(DISTINCT dependent.action, '') INTO v_actions
    FROM _dependent_keys() AS dependent
    WHERE dependent.child_id = v_table AND dependent.parent_place IS DISTINCT FROM 'archive'
        AND dependent.child_place IS NULL;
    IF v_actions IS NULL AND handling <> 'refuse' THEN
        RAISE EXCEPTION 'no foreign key of %.% refers to chat rows', schema_name, table_name
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'SELECT * FROM archive_dependents() (`aria-db dependents`) lists the tables. One that refers to '
                'another of them is listed once that one is set.';
    ELSIF handling = 'delete' AND v_actions ~ '[nd]|^[ar]+$' THEN
        RAISE EXCEPTION 'a foreign key of %.% is not ON DELETE CASCADE, so that its rows would stay',
            schema_name, table_name
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Choose move, which keeps the rows with their session.';
    ELSIF handling = 'detach' AND v_actions ~ 'c|^[ar]+$' THEN
        RAISE EXCEPTION 'a foreign key of %.% is not ON DELETE SET NULL or SET DEFAULT, so that its rows could not '
            'stay', schema_name, table_name
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Choose move, which keeps the rows with their session.';
    END IF;

    SELECT dependent.archive_table INTO v_archive
    FROM engine_archive_dependent AS dependent
    WHERE
        (dependent.schema_name, dependent.table_name)
        = (set_archive_dependent.schema_name, set_archive_dependent.table_name);

    IF handling = 'move' THEN
        IF v_archive IS NULL OR to_regclass(format('%I.%I', schema_name, v_archive)) IS NULL THEN
            v_archive := table_name || '_archive';
            IF length(v_archive) > 63 THEN
                RAISE EXCEPTION '% is longer than a name may be', v_archive
                    USING ERRCODE = 'invalid_parameter_value',
                    HINT = 'Rename the table: its archive has its name and _archive.';
            END IF;
            IF to_regclass(format('%I.%I', schema_name, v_archive)) IS NOT NULL THEN
                RAISE EXCEPTION '%.% exists already', schema_name, v_archive
                    USING ERRCODE = 'duplicate_table',
                    HINT = 'Rename it: set_archive_dependent() creates this table.';
            END IF;
            EXECUTE format(
                'CREATE TABLE %1$I.%2$I (archived_at timestamptz NOT NULL, archived_session_id uuid NOT NULL, '
                'LIKE %1$I.%3$I)',
                schema_name, v_archive, table_name
            );
            EXECUTE format('CREATE INDEX ON %I.%I (archived_session_id)', schema_name, v_archive);
            -- revoke what default privileges granted: only the functions change archived rows
            FOR v_grantee IN
                SELECT DISTINCT coalesce(quote_ident(grantee.rolname), 'PUBLIC')
                FROM pg_catalog.pg_class AS archive
                CROSS JOIN LATERAL aclexplode(archive.relacl) AS entry
                LEFT JOIN pg_catalog.pg_roles AS grantee ON entry.grantee = grantee.oid
                WHERE
                    archive.oid = to_regclass(format('%I.%I', schema_name, v_archive))
                    AND entry.grantee <> archive.relowner
            LOOP
                EXECUTE format('REVOKE ALL ON TABLE %I.%I FROM %s', schema_name, v_archive, v_grantee);
            END LOOP;
            -- it has no key, and in a publication of all tables PostgreSQL would refuse to delete its rows
            EXECUTE format('ALTER TABLE %I.%I REPLICA IDENTITY FULL', schema_name, v_archive);
            EXECUTE format(
                'COMMENT ON TABLE %I.%I IS %L',
                schema_name, v_archive, format('Rows of %s that were archived with their session.', table_name)
            );
        END IF;
        -- Columns that the table has got since; and an archive must take what the table took.
        FOR v_column IN
            SELECT
                format('ADD COLUMN %I %s', drifted.column_name, (
                    SELECT format_type(table_column.atttypid, table_column.atttypmod)
                    FROM pg_catalog.pg_attribute AS table_column
                    WHERE table_column.attrelid = v_table AND table_column.attname = drifted.column_name
                )) AS change
            FROM (
                SELECT table_column.attname AS column_name
                FROM pg_catalog.pg_attribute AS table_column
                WHERE
                    table_column.attrelid = v_table
                    AND table_column.attnum > 0
                    AND NOT table_column.attisdropped
                    AND NOT EXISTS (
                        SELECT 1 FROM pg_catalog.pg_attribute AS archive_column
                        WHERE
                            archive_column.attrelid = to_regclass(format('%I.%I', schema_name, v_archive))
                            AND archive_column.attname = table_column.attname
                            AND NOT archive_column.attisdropped
                    )
                ORDER BY table_column.attnum
            ) AS drifted
            UNION ALL
            SELECT format('ALTER COLUMN %I DROP NOT NULL', archive_column.attname)
            FROM pg_catalog.pg_attribute AS archive_column
            WHERE
                archive_column.attrelid = to_regclass(format('%I.%I', schema_name, v_archive))
                AND archive_column.attnotnull
                AND archive_column.attnum > 2
        LOOP
            EXECUTE format('ALTER TABLE %I.%I %s', schema_name, v_archive, v_column.change);
        END LOOP;
    END IF;

    INSERT INTO engine_archive_dependent AS dependent (schema_name, table_name, handling, archive_table, set_by)
    VALUES (
        set_archive_dependent.schema_name,
        set_archive_dependent.table_name,
        set_archive_dependent.handling,
        v_archive,
        _actor(NULL)
    )
    ON CONFLICT ON CONSTRAINT engine_archive_dependent_pkey DO UPDATE
    SET
        handling = excluded.handling,
        archive_table = excluded.archive_table,
        set_by = excluded.set_by,
        set_at = clock_timestamp();
END;
$function$;

COMMENT ON FUNCTION set_archive_dependent(text, text, text) IS
'Says what becomes of the rows of a table that refers to chat rows: move, delete, detach or refuse.';

REVOKE ALL ON FUNCTION set_archive_dependent(text, text, text) FROM public;

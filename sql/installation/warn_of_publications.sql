-- Warns of publications that will send the tables which a revision creates.
--
-- A subscriber without such a table stops at its first row, and receives no further changes.
DO $installation$
DECLARE
    v_publication name;
BEGIN
    FOR v_publication IN
        SELECT publication.pubname FROM pg_catalog.pg_publication AS publication
        WHERE
            publication.puballtables
            OR EXISTS (
                SELECT 1 FROM pg_catalog.pg_publication_namespace AS whole
                WHERE
                    whole.pnpubid = publication.oid
                    AND whole.pnnspid = to_regnamespace(quote_ident(current_schema()))
            )
        ORDER BY publication.pubname
    LOOP
        RAISE WARNING 'publication % sends the tables that are created here, also to subscribers that do not have them',
            v_publication
            USING HINT = 'A subscriber without these tables stops. Run the same command on it; then TRUNCATE '
                'aria_db_version, engine_archive_policy and ALTER SUBSCRIPTION ... REFRESH PUBLICATION there.';
    END LOOP;
END;
$installation$;

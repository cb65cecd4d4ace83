-- adoption_obstacles: what is in the way of the changes, and what to do about it.
--
-- The problems of adoption_problems are those of the tables themselves, whatever has to change.
CREATE OR REPLACE FUNCTION pg_temp.adoption_obstacles(layout text, source text, target text)
RETURNS TABLE (object text, problem text, remedy text)
LANGUAGE sql
STABLE
AS $function$
    WITH
    changes AS (
        SELECT * FROM pg_temp.adoption_changes(layout, source, target)
    ),

    obstacles (place, part, object, problem, remedy) AS (
        SELECT
            changes.place,
            1,
            changes.path,
            format('is a view, and not a plain one of all columns of %s', changes.table_path),
            'Drop or rename it: aria-db needs the name.'
        FROM changes
        WHERE layout = 'A' AND changes.named_kind = 'v' AND NOT changes.is_plain_view
        UNION ALL
        SELECT
            changes.place,
            1,
            changes.path,
            'is a table of aria-db and holds rows',
            format('Move its rows to %s, or drop them, and run this again.', changes.table_path)
        FROM changes
        WHERE
            CASE
                WHEN layout = 'A' AND changes.replaced IS NOT NULL
                    THEN pg_temp.adoption_row_count(changes.path, 1) > 0
            END
        UNION ALL
        SELECT
            changes.place,
            1,
            changes.path,
            'has the name that aria-db needs for its view',
            'Rename it, or install aria-db into another schema: --schema NAME.'
        FROM changes
        WHERE layout = 'A' AND changes.named_kind <> 'v' AND changes.replaced IS NULL
        UNION ALL
        SELECT
            changes.place,
            1,
            changes.path,
            'has triggers, row-level security or partitions, which the new archive would not have',
            'Remove triggers and row-level security, and add them again afterwards. Give a partitioned '
            'archive archived_at as its first column yourself.'
        FROM changes
        INNER JOIN pg_catalog.pg_class AS old_archive ON changes.chat = old_archive.oid
        WHERE
            layout <> 'A'
            AND changes.replaced IS NOT NULL
            AND (
                old_archive.relrowsecurity
                OR old_archive.relkind <> 'r'
                OR EXISTS (
                    SELECT 1 FROM pg_catalog.pg_trigger AS old_trigger
                    WHERE old_trigger.tgrelid = changes.chat AND NOT old_trigger.tgisinternal
                )
            )
        UNION ALL
        SELECT
            changes.place,
            1,
            changes.path,
            'has ' || lost.what || ', which the new archive would not have',
            'Drop it, and create it again after the adoption.'
        FROM changes
        CROSS JOIN LATERAL (
            SELECT 'the statistics ' || statistics.stxname AS what
            FROM pg_catalog.pg_statistic_ext AS statistics
            WHERE statistics.stxrelid = changes.chat
            UNION ALL
            SELECT 'an index as its replica identity'
            FROM pg_catalog.pg_class AS old_archive
            WHERE old_archive.oid = changes.chat AND old_archive.relreplident = 'i'
            UNION ALL
            SELECT 'a row filter or a list of columns in a publication'
            FROM pg_catalog.pg_publication_rel AS member
            WHERE member.prrelid = changes.chat AND (member.prqual IS NOT NULL OR member.prattrs IS NOT NULL)
            UNION ALL
            SELECT 'the constraint ' || old_constraint.conname
            FROM pg_catalog.pg_constraint AS old_constraint
            WHERE old_constraint.conrelid = changes.chat AND old_constraint.contype = 'x'
        ) AS lost
        WHERE layout <> 'A' AND changes.replaced IS NOT NULL
        UNION ALL
        SELECT
            changes.place,
            2,
            changed.oid::regclass::text,
            format('has to be changed, and role %I does not own it', current_user),
            format('Run this as %I, or as a member of that role.', pg_get_userbyid(changed.relowner))
        FROM changes
        INNER JOIN pg_catalog.pg_class AS changed
            ON
                (changes.chat = changed.oid AND changes.alteration IS NOT NULL)
                OR (
                    changes.named = changed.oid
                    AND (changes.laying IS NOT NULL OR changes.replaced IS NOT NULL)
                )
        WHERE NOT pg_has_role(changed.relowner, 'USAGE')
    )

    SELECT
        obstacles.object,
        obstacles.problem,
        obstacles.remedy
    FROM obstacles
    ORDER BY obstacles.place, obstacles.part, obstacles.object;
$function$;

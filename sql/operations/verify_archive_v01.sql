-- verify_archive: proof that every session and message is in exactly one place.
--
-- A row per finding, with what to do about it; none when all is well. It finds what
-- nothing here leaves behind, and only other code can: messages without their session,
-- sessions and messages in both places, archived_at that is missing, in the future or not
-- the same for a session and its messages, sessions on hold that are nowhere, and column
-- drift; and rows of other tables that were archived with a session which is not in the archive.
-- messages counts the messages that a finding is about.
--
-- since: looks only at the sessions that were archived since then (and at holds and columns),
-- for a check every hour of an archive that takes long to read. Messages without a session
-- and a missing archived_at are then not looked for.
--
-- How many messages a session should have is not checked, because nothing knows it:
-- message_count is the application's own, which counts what it likes, and the run log has
-- totals of runs, of which some sessions may have been restored or purged since.
-- Live messages are checked although a foreign key is there: it may be NOT VALID, and
-- neither a restore with --disable-triggers nor a replication role asks it.
--
-- Read-only, and one snapshot: a move under way is seen before or after it. Each table is
-- read once, and what is joined are the counts per session.
CREATE OR REPLACE FUNCTION verify_archive(since timestamptz DEFAULT NULL)
RETURNS TABLE (finding text, session_id uuid, messages bigint, detail text, remedy text)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
-- A row that a policy hides would pass for one that is not there.
SET row_security = 'off'
-- With and without since are different plans.
SET plan_cache_mode = 'force_custom_plan'
AS $function$
DECLARE
    -- Later than the snapshot, and so than every move that it shows.
    v_now timestamptz := clock_timestamp();
    v_unreadable boolean;
    v_recent uuid[];
    v_dependent record;
BEGIN
    RETURN QUERY
    SELECT
        'column drift',
        NULL::uuid,
        NULL::bigint,
        format('%s.%s %s', drifted.live_table, drifted.column_name, drifted.problem),
        'No session can be archived. Run `aria-db adopt` where the tables are the application''s; else give '
        'both tables the same columns, in order.'
    FROM archive_column_drift() AS drifted;

    -- The views hold on to every other column that is read below.
    SELECT bool_or(drifted.column_name = 'archived_at') INTO v_unreadable
    FROM archive_column_drift() AS drifted;
    IF v_unreadable THEN
        RETURN;
    END IF;

    -- Rows of other tables that are archived with a session must be where their session is.
    FOR v_dependent IN SELECT * FROM _dependent_archives() LOOP
        RETURN QUERY EXECUTE format(
            $statement$
            SELECT
                'archived rows without a session',
                archived.archived_session_id,
                NULL::bigint,
                format('%%s rows in %%s', count(*), %1$L),
                'Nothing brings them back. Restore their session from a backup, or delete them.'
            FROM %1$s AS archived
            WHERE
                NOT EXISTS (
                    SELECT 1 FROM engine_chat_session_archive AS session
                    WHERE session.id = archived.archived_session_id
                )
                AND ($1 IS NULL OR archived.archived_at >= $1)
            GROUP BY archived.archived_session_id
            $statement$,
            v_dependent.archive_id::regclass
        ) USING since;
    END LOOP;

    IF since IS NOT NULL THEN
        v_recent := ARRAY(
            SELECT archived.id
            FROM engine_chat_session_archive AS archived
            WHERE archived.archived_at >= since
        );
    END IF;

    RETURN QUERY
    WITH
    live_sessions AS (
        SELECT
            live.id,
            TRUE AS is_live
        FROM engine_chat_sessions AS live
        WHERE since IS NULL OR live.id = ANY(v_recent)
    ),

    live_messages AS (
        SELECT
            live.session_id AS id,
            count(*) AS live
        FROM engine_chat_messages AS live
        WHERE since IS NULL OR live.session_id = ANY(v_recent)
        GROUP BY live.session_id
    ),

    archived_sessions AS (
        SELECT
            archived.id,
            archived.archived_at,
            TRUE AS is_archived
        FROM engine_chat_session_archive AS archived
        WHERE since IS NULL OR archived.id = ANY(v_recent)
    ),

    archived_messages AS (
        SELECT
            archived.session_id AS id,
            count(*) AS archived,
            count(*) - count(archived.archived_at) AS undated,
            min(archived.archived_at) AS oldest,
            max(archived.archived_at) AS newest
        FROM engine_chat_message_archive AS archived
        WHERE since IS NULL OR archived.session_id = ANY(v_recent)
        GROUP BY archived.session_id
    ),

    places AS (
        SELECT
            id,
            coalesce(live_sessions.is_live, FALSE) AS is_live,
            coalesce(live_messages.live, 0) AS live,
            coalesce(archived_sessions.is_archived, FALSE) AS is_archived,
            archived_sessions.archived_at,
            coalesce(archived_messages.archived, 0) AS archived,
            coalesce(archived_messages.undated, 0) AS undated,
            archived_messages.oldest,
            archived_messages.newest
        FROM live_sessions
        FULL JOIN live_messages USING (id)
        FULL JOIN archived_sessions USING (id)
        FULL JOIN archived_messages USING (id)
    )

    SELECT
        found.finding,
        places.id,
        found.messages,
        found.detail,
        found.remedy
    FROM places
    CROSS JOIN LATERAL (
        VALUES
        (
            places.live > 0 AND NOT places.is_live,
            'live messages without a session',
            places.live,
            CASE WHEN places.is_archived THEN 'the session is archived' ELSE 'the session is nowhere' END,
            'Insert their session again, from a backup, or delete them; then validate the foreign key.'
        ),
        (
            places.archived > 0 AND NOT places.is_archived AND NOT places.is_live,
            'archived messages without a session',
            places.archived,
            'the session is nowhere',
            'Nothing shows them. Insert their session into the archive again, from a backup, or delete them.'
        ),
        (
            places.is_live AND (places.is_archived OR places.archived > 0),
            'session in both places',
            places.live + places.archived,
            format(
                'live with %s messages; in the archive %s and %s messages',
                places.live,
                CASE WHEN places.is_archived THEN 'its row' ELSE 'no row of it' END,
                places.archived
            ),
            'Run `aria-db conflicts`: it lists them, shows what differs and merges them.'
        ),
        (
            places.archived_at IS NULL AND places.is_archived OR places.undated > 0,
            'archived_at is missing',
            places.undated,
            'of the ' || concat_ws(
                ' and the ',
                CASE WHEN places.is_archived AND places.archived_at IS NULL THEN 'session' END,
                CASE WHEN places.undated > 0 THEN 'messages' END
            ),
            'Set it to when they were archived: the purge counts from it, and leaves a session that has none.'
        ),
        (
            greatest(places.archived_at, places.newest) > v_now,
            'archived_at is in the future',
            places.archived,
            format('%s, and it is %s', greatest(places.archived_at, places.newest), v_now),
            'Set it to when they were archived: the purge counts from it.'
        )
    ) AS found (is_found, finding, messages, detail, remedy)
    WHERE found.is_found
    UNION ALL
    SELECT
        'messages in both places',
        places.id,
        same.messages,
        'live and in the archive, with the same id',
        'Run `aria-db conflicts`; where it does not list their session, compare them and delete the wrong ones.'
    FROM places
    CROSS JOIN LATERAL (
        SELECT count(*) AS messages
        FROM engine_chat_messages AS live
        INNER JOIN engine_chat_message_archive AS archived
            ON live.session_id = archived.session_id AND live.id = archived.id
        WHERE live.session_id = places.id
    ) AS same
    WHERE places.live > 0 AND places.archived > 0 AND same.messages > 0
    UNION ALL
    SELECT
        'archived_at differs',
        places.id,
        different.messages,
        format('%s for the session, %s to %s for its messages', places.archived_at, places.oldest, places.newest),
        'One move gives both the same; other code made these. Nothing is lost: set that of the messages to '
        'their session''s.'
    FROM places
    CROSS JOIN LATERAL (
        SELECT count(*) AS messages
        FROM engine_chat_message_archive AS archived
        WHERE archived.session_id = places.id AND archived.archived_at <> places.archived_at
    ) AS different
    WHERE places.archived_at <> places.oldest OR places.archived_at <> places.newest
    UNION ALL
    SELECT
        'held session is gone',
        held.session_id,
        NULL,
        format('held by %s since %s: %s', held.placed_by, held.placed_at, held.reason),
        'Something other than aria-db deleted it. Bring it back from a backup, or `aria-db release` it.'
    FROM engine_session_hold AS held
    WHERE
        NOT EXISTS (SELECT 1 FROM engine_chat_sessions AS live WHERE live.id = held.session_id)
        AND NOT EXISTS (SELECT 1 FROM engine_chat_session_archive AS archived WHERE archived.id = held.session_id)
    ORDER BY 1, 2;
END;
$function$;

COMMENT ON FUNCTION verify_archive(timestamptz) IS
'What contradicts that every session and message is in exactly one place: a row per finding, none when '
'all is well. Read-only; since: only sessions archived since then.';

REVOKE ALL ON FUNCTION verify_archive(timestamptz) FROM public;

-- What must be true after every order of events, and what is needed to judge it.
--
-- Triggers write a ledger of every row that enters or leaves one of the four chat tables, in the
-- transaction that does it, under the name of the client: what rolls back has no entry. The view
-- `violation` compares the ledger with what the tables hold, and with aria-db's own journal, which
-- must tell the same story. It is installed where the tables are.

-- What the clients of `specs/` do with sessions; a client that is not named here is an application.
CREATE TABLE roles (
    role text PRIMARY KEY,
    deed text NOT NULL CHECK (deed IN ('archived', 'restored', 'purged', 'deleted', 'held', 'released')),
    -- of a client whose calls are batches of a run: its kind
    run_kind text
);
INSERT INTO roles (role, deed, run_kind) VALUES
('archive', 'archived', NULL),
('archive_reversed', 'archived', 'archive'),
('prune', 'archived', 'prune'),
('restore', 'restored', NULL),
('restore_other', 'restored', NULL),
('restore_both', 'restored', 'restore'),
('restore_reversed', 'restored', NULL),
('purge', 'purged', 'purge'),
('delete_chat', 'deleted', NULL),
('delete_archived', 'deleted', NULL),
('delete_empty', 'deleted', 'empty'),
('hold', 'held', NULL),
('release', 'released', NULL);

CREATE TABLE ledger (
    client text NOT NULL DEFAULT substring(current_setting('application_name') FROM '[^/]*$'),
    -- the client without the number of a second one like it
    role text GENERATED ALWAYS AS (regexp_replace(client, '_\d$', '')) STORED,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    place text NOT NULL,
    kind text NOT NULL,
    action text NOT NULL,
    session_id uuid NOT NULL,
    -- a session that is made again with the id of another is not that other: it has a prompt of its own
    key text NOT NULL,
    image jsonb NOT NULL,
    archived_at timestamptz,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The same for the journal: what was written to it, by whom, and in which transaction.
CREATE TABLE journal_ledger (
    client text NOT NULL DEFAULT substring(current_setting('application_name') FROM '[^/]*$'),
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    action text NOT NULL,
    LIKE engine_archive_event
);

-- What the functions said that they moved, deleted or held.
CREATE TABLE answers (client text NOT NULL, sessions bigint NOT NULL, messages bigint NOT NULL);

CREATE FUNCTION write_ledger() RETURNS trigger LANGUAGE plpgsql AS $function$
DECLARE
    v_place text := TG_ARGV[0];
    v_kind text := TG_ARGV[1];
    v_row jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    INSERT INTO ledger (place, kind, action, session_id, key, image, archived_at)
    VALUES (
        v_place,
        v_kind,
        TG_OP,
        (v_row ->> CASE v_kind WHEN 'session' THEN 'id' ELSE 'session_id' END)::uuid,
        concat_ws(' ', v_row ->> 'id', v_row ->> 'system_prompt'),
        v_row - 'archived_at',
        (v_row ->> 'archived_at')::timestamptz
    );
    RETURN NULL;
END;
$function$;

CREATE FUNCTION write_journal_ledger() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    INSERT INTO journal_ledger (action, session_id, id, event, at, actor, role, run_id, message_count, detail)
    SELECT TG_OP, session_id, id, event, at, actor, role, run_id, message_count, detail
    FROM (SELECT (CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END).*) AS entry;
    RETURN NULL;
END;
$function$;

CREATE TRIGGER write_ledger AFTER INSERT OR UPDATE OR DELETE ON $sessions
FOR EACH ROW WHEN (current_setting('laws.are_suspended', TRUE) IS DISTINCT FROM 'yes')
EXECUTE FUNCTION write_ledger('live', 'session');
CREATE TRIGGER write_ledger AFTER INSERT OR UPDATE OR DELETE ON $messages
FOR EACH ROW WHEN (current_setting('laws.are_suspended', TRUE) IS DISTINCT FROM 'yes')
EXECUTE FUNCTION write_ledger('live', 'message');
CREATE TRIGGER write_ledger AFTER INSERT OR UPDATE OR DELETE ON $session_archive
FOR EACH ROW WHEN (current_setting('laws.are_suspended', TRUE) IS DISTINCT FROM 'yes')
EXECUTE FUNCTION write_ledger('archive', 'session');
CREATE TRIGGER write_ledger AFTER INSERT OR UPDATE OR DELETE ON $message_archive
FOR EACH ROW WHEN (current_setting('laws.are_suspended', TRUE) IS DISTINCT FROM 'yes')
EXECUTE FUNCTION write_ledger('archive', 'message');
CREATE TRIGGER write_ledger AFTER INSERT OR UPDATE OR DELETE ON engine_session_hold
FOR EACH ROW WHEN (current_setting('laws.are_suspended', TRUE) IS DISTINCT FROM 'yes')
EXECUTE FUNCTION write_ledger('holds', 'hold');
CREATE TRIGGER write_ledger AFTER INSERT OR UPDATE OR DELETE ON engine_archive_event
FOR EACH ROW WHEN (current_setting('laws.are_suspended', TRUE) IS DISTINCT FROM 'yes')
EXECUTE FUNCTION write_journal_ledger();

-- What has been archived may be purged at once, and what is old may be pruned (30 days).
UPDATE engine_archive_policy SET purge_after = interval '1 microsecond' WHERE session_type = '*';

-- Before every permutation: the session ...01 with three messages and ...02 with two, both old; and
-- ...03 in daily use, which is nobody's business. `archived` names those that are in the archive,
-- `soft_deleted` those that the application soft-deleted. ...02 is older: what goes by age meets
-- them in the other order than what goes by id. An earlier prune had to leave those that are live.
-- `empty` names those without a message.
-- `clients` are those of the permutation: each whose calls are batches of a run has one.
CREATE PROCEDURE start_again(archived uuid[], soft_deleted uuid[], empty uuid[], clients text[]) LANGUAGE plpgsql AS $procedure$
BEGIN
    PERFORM set_config('laws.are_suspended', 'yes', TRUE);
    DELETE FROM engine_chat_sessions;
    DELETE FROM engine_chat_message_archive;
    DELETE FROM engine_chat_session_archive;
    DELETE FROM engine_session_hold;
    DELETE FROM engine_archive_event;
    DELETE FROM engine_archive_left;
    DELETE FROM engine_archive_run;
    DELETE FROM ledger;
    DELETE FROM journal_ledger;
    DELETE FROM answers;

    INSERT INTO engine_chat_sessions (id, title, system_prompt, status, updated_at)
    SELECT
        made.id,
        'title',
        'first',
        CASE WHEN made.id = ANY(soft_deleted) THEN 'archived' ELSE 'active' END,
        now() - made.number * interval '100 days' * (made.number < 3)::integer
    FROM (
        SELECT ('00000000-0000-0000-0000-00000000000' || number)::uuid AS id, number
        FROM generate_series(1, 3) AS number
    ) AS made;
    INSERT INTO engine_chat_messages (session_id, id, role, content)
    SELECT
        session.id,
        (left(session.id::text, -4) || right(session.id::text, 1) || '00' || number)::uuid,
        'user',
        'content'
    FROM engine_chat_sessions AS session, generate_series(1, 3) AS number
    WHERE number <= 4 - right(session.id::text, 1)::integer AND session.id <> ALL(empty);

    INSERT INTO engine_chat_session_archive
    SELECT now() - interval '1 day', live.* FROM engine_chat_sessions AS live WHERE live.id = ANY(archived);
    INSERT INTO engine_chat_message_archive
    SELECT now() - interval '1 day', live.* FROM engine_chat_messages AS live WHERE live.session_id = ANY(archived);
    INSERT INTO engine_archive_event (session_id, event, at, actor, role, message_count)
    SELECT session.id, 'archived', session.archived_at, 'setup', session_user, count(message.id)
    FROM engine_chat_session_archive AS session
    INNER JOIN engine_chat_message_archive AS message ON session.id = message.session_id
    GROUP BY session.id, session.archived_at;
    DELETE FROM engine_chat_sessions AS live WHERE live.id = ANY(archived);

    INSERT INTO engine_archive_left (session_id, sqlstate, message)
    SELECT live.id, 'AR007', 'an earlier prune could not archive it' FROM engine_chat_sessions AS live
    WHERE live.id <> '00000000-0000-0000-0000-000000000003';

    INSERT INTO engine_archive_run (kind, arguments, started_by, backend_pid)
    SELECT roles.run_kind, '{}', client, pg_backend_pid()
    FROM unnest(clients) AS client
    INNER JOIN roles ON regexp_replace(client, '_\d$', '') = roles.role
    WHERE roles.run_kind IS NOT NULL;

    -- As if the rows had been made where they are.
    INSERT INTO ledger (place, kind, action, session_id, key, image)
    SELECT 'live', present.kind, 'INSERT', present.session_id, present.key, '{}' FROM present;
END;
$procedure$;

CREATE FUNCTION run_of(client text) RETURNS bigint LANGUAGE sql STABLE AS $function$
    SELECT run.id FROM engine_archive_run AS run WHERE run.started_by = client;
$function$;

CREATE VIEW present AS
SELECT 'live' AS place, 'session' AS kind, id AS session_id, concat_ws(' ', id, system_prompt) AS key, title AS text
FROM engine_chat_sessions
UNION ALL
SELECT 'archive', 'session', id, concat_ws(' ', id, system_prompt), title
FROM engine_chat_session_archive
UNION ALL
SELECT 'live', 'message', session_id, id::text, content
FROM engine_chat_messages
UNION ALL
SELECT 'archive', 'message', session_id, id::text, content
FROM engine_chat_message_archive;

-- What an application made, the setup included, ...
CREATE VIEW made AS
SELECT DISTINCT kind, session_id, key FROM ledger
WHERE action = 'INSERT' AND place = 'live' AND role NOT IN (SELECT role FROM roles);

-- ... and what left for good, by the hand of one that may.
CREATE VIEW ended AS
SELECT DISTINCT kind, key FROM ledger
WHERE
    action = 'DELETE'
    AND (
        (place = 'live' AND role IN ('session_delete', 'delete_chat'))
        OR (place = 'live' AND role = 'message_delete' AND kind = 'message')
        OR (place = 'live' AND role = 'delete_empty' AND kind = 'session')
        OR (place = 'archive' AND role IN ('purge', 'delete_archived'))
    );

-- What the rows say that the functions did: what the journal must say, too.
CREATE VIEW deed AS
WITH
deeds (deed, place, action) AS (
    VALUES
    ('archived', 'archive', 'INSERT'),
    ('restored', 'live', 'INSERT'),
    -- a soft delete that was taken back, of a session that was never moved
    ('restored', 'live', 'UPDATE'),
    ('purged', 'archive', 'DELETE'),
    ('deleted', 'archive', 'DELETE'),
    ('deleted', 'live', 'DELETE'),
    ('held', 'holds', 'INSERT'),
    ('held', 'holds', 'UPDATE'),
    ('released', 'holds', 'DELETE')
),

done AS (
    SELECT ledger.*, roles.deed, roles.run_kind, ledger.action <> 'UPDATE' AS is_move
    FROM ledger
    INNER JOIN roles USING (role)
    INNER JOIN deeds USING (deed, place, action)
    WHERE ledger.kind IN ('session', 'hold')
),

messages AS (
    SELECT transaction, session_id, place, action, count(*) AS moved FROM ledger
    WHERE kind = 'message'
    GROUP BY transaction, session_id, place, action
)

SELECT
    done.client,
    done.transaction,
    done.session_id,
    done.deed AS event,
    CASE WHEN done.run_kind IS NOT NULL THEN run_of(done.client) END AS run_id,
    CASE
        WHEN done.kind = 'hold' THEN NULL
        WHEN done.is_move THEN coalesce(messages.moved, 0)
        ELSE (
            SELECT count(*) FILTER (WHERE message.action = 'INSERT') - count(*) FILTER (WHERE message.action = 'DELETE')
            FROM ledger AS message
            WHERE
                (message.kind, message.place, message.session_id) = ('message', 'live', done.session_id)
                AND message.at < done.at
        )
    END AS message_count,
    CASE done.deed
        WHEN 'held' THEN jsonb_build_object('reason', done.image -> 'reason')
        WHEN 'deleted' THEN jsonb_build_object('place', done.place)
    END AS detail,
    CASE done.deed WHEN 'archived' THEN done.archived_at END AS archived_at,
    done.is_move
FROM done
LEFT JOIN messages USING (transaction, session_id, place, action)
WHERE
    done.is_move
    OR done.kind = 'hold'
    OR NOT EXISTS (
        SELECT FROM ledger AS arrival
        WHERE
            (arrival.transaction, arrival.kind, arrival.place, arrival.action, arrival.session_id)
            = (done.transaction, 'session', 'live', 'INSERT', done.session_id)
    );

-- The events by which a session comes or goes, and where it is afterwards.
CREATE VIEW place_event AS
SELECT
    *,
    event IN ('archived', 'restored', 'purged') OR detail ->> 'place' = 'archive' AS is_of_archive,
    event IN ('archived', 'restored') OR detail ->> 'place' = 'live' AS is_of_live
FROM engine_archive_event
WHERE event IN ('archived', 'restored', 'purged', 'deleted');

CREATE VIEW violation AS
WITH
-- a row that left one place and came to the other, column for column
departures AS (
    SELECT
        client,
        kind,
        key,
        -- a restore takes the soft delete back
        CASE
            WHEN place = 'archive' AND image ->> 'status' = 'archived' THEN image || '{"status": "active"}'
            ELSE image
        END AS image,
        place
    FROM ledger
    WHERE
        action = 'DELETE'
        AND place IN ('live', 'archive')
        AND role NOT IN (
            'session_delete', 'message_delete', 'purge', 'delete_chat', 'delete_archived', 'delete_empty'
        )
),

arrivals AS (
    SELECT client, kind, key, image, CASE place WHEN 'live' THEN 'archive' ELSE 'live' END
    FROM ledger
    WHERE
        action = 'INSERT'
        AND (place = 'archive' OR role IN (SELECT role FROM roles WHERE deed = 'restored'))
),

-- the journal as the rows tell it, and as it was written
told_by_rows AS (
    SELECT
        client, transaction, session_id, event, client AS actor, session_user::text AS role,
        run_id, message_count, detail, archived_at
    FROM deed
),

told_by_journal AS (
    SELECT
        client, transaction, session_id, event, actor, role,
        run_id, message_count, detail, CASE event WHEN 'archived' THEN at END
    FROM journal_ledger
    WHERE action = 'INSERT'
),

-- what an application made again, or deleted, is not where the journal knows
known_to_application_only AS (
    SELECT session_id FROM ledger
    WHERE (kind, place) = ('session', 'live') AND role NOT IN (SELECT role FROM roles)
    GROUP BY session_id
    HAVING count(*) FILTER (WHERE action = 'INSERT') > 1 OR count(*) FILTER (WHERE action = 'DELETE') > 0
)

SELECT format('%s %s is lost', made.kind, made.key) AS what
FROM made
WHERE
    NOT EXISTS (SELECT FROM present WHERE (present.kind, present.key) = (made.kind, made.key))
    AND NOT EXISTS (SELECT FROM ended WHERE (ended.kind, ended.key) = (made.kind, made.key))
UNION ALL
SELECT format('%s %s is there %s times', kind, key, count(*)) FROM present GROUP BY kind, key HAVING count(*) > 1
UNION ALL
SELECT format('%s %s was deleted and is %s', kind, key, place) FROM present INNER JOIN ended USING (kind, key)
UNION ALL
SELECT format('%s %s comes from nowhere', kind, key) FROM present
WHERE NOT EXISTS (SELECT FROM made WHERE (made.kind, made.key) = (present.kind, present.key))
UNION ALL
SELECT format('message %s is %s without its session', message.key, message.place)
FROM present AS message
WHERE
    message.kind = 'message'
    AND NOT EXISTS (
        SELECT FROM present AS session
        WHERE session.kind = 'session' AND (session.place, session.session_id) = (message.place, message.session_id)
    )
UNION ALL
SELECT format('%s took %s %s from %s and did not bring it as it was', client, kind, key, place)
FROM (SELECT * FROM departures EXCEPT ALL SELECT * FROM arrivals) AS unmatched
UNION ALL
SELECT format('%s brought %s %s, which did not leave as it came', client, kind, key)
FROM (SELECT * FROM arrivals EXCEPT ALL SELECT * FROM departures) AS unmatched (client, kind, key)
UNION ALL
-- Each edit appends a '+': as many must be there as were committed.
SELECT format('%s %s has been edited %s times and says %s', present.kind, present.key, count(ledger.at), present.text)
FROM present
LEFT JOIN ledger
    ON
        (ledger.kind, ledger.key) = (present.kind, present.key)
        AND ledger.action = 'UPDATE'
        AND ledger.role IN ('message_update', 'session_update')
GROUP BY present.kind, present.key, present.text
HAVING length(regexp_replace(present.text, '[^+]', '', 'g')) <> count(ledger.at)
UNION ALL
SELECT format('%s said it moved %s sessions and %s messages', answers.client, answers.sessions, answers.messages)
FROM answers
WHERE
    (answers.sessions, answers.messages) <> (
        SELECT
            count(*) FILTER (WHERE ledger.action = 'DELETE' AND ledger.kind = 'session'),
            count(*) FILTER (WHERE ledger.action = 'DELETE' AND ledger.kind = 'message')
        FROM ledger
        WHERE ledger.client = answers.client
    )
    -- neither a hold nor the end of a soft delete moves anything
    AND NOT EXISTS (SELECT FROM deed WHERE deed.client = answers.client AND (deed.event IN ('held', 'released') OR NOT deed.is_move))
UNION ALL
SELECT format('%s %s session %s, which was on hold', ledger.client, roles.deed, ledger.session_id)
FROM ledger
INNER JOIN roles USING (role)
INNER JOIN engine_session_hold AS hold USING (session_id)
WHERE
    ledger.kind = 'session'
    AND ledger.action = 'DELETE'
    AND roles.deed IN ('archived', 'purged', 'deleted')
    AND ledger.at > hold.placed_at
UNION ALL
SELECT format('session %s is on hold and gone', hold.session_id)
FROM engine_session_hold AS hold
WHERE
    NOT EXISTS (SELECT FROM present WHERE present.kind = 'session' AND present.session_id = hold.session_id)
    AND NOT EXISTS (
        SELECT FROM ledger
        WHERE ledger.session_id = hold.session_id AND ledger.role = 'session_delete' AND ledger.kind = 'session'
    )
UNION ALL
SELECT format('%s took session %s, which was in use', client, session_id)
FROM ledger
WHERE role = 'prune' AND kind = 'session' AND (image ->> 'updated_at')::timestamptz > now() - interval '30 days'
UNION ALL
SELECT format('%s took session %s, which had just been restored', pruned.client, session_id)
FROM ledger AS pruned
INNER JOIN ledger AS restored USING (session_id, kind)
INNER JOIN roles ON restored.role = roles.role
WHERE
    (pruned.role, pruned.kind, pruned.action) = ('prune', 'session', 'DELETE')
    AND (roles.deed, restored.place) = ('restored', 'live')
    AND restored.at < pruned.at
UNION ALL
SELECT format('%s touched session %s, which is nobody''s business', client, session_id)
FROM ledger
WHERE session_id = '00000000-0000-0000-0000-000000000003' AND client <> 'control connection'
UNION ALL
SELECT format('a prune left session %s, which is not live', session_id)
FROM engine_archive_left
WHERE
    NOT EXISTS (SELECT FROM engine_chat_sessions AS live WHERE live.id = session_id)
    AND session_id NOT IN (SELECT session_id FROM known_to_application_only)
UNION ALL
-- The journal and the rows never disagree.
SELECT format('%s %s session %s, and the journal does not say so: %s', client, event, session_id, missing)
FROM (SELECT * FROM told_by_rows EXCEPT ALL SELECT * FROM told_by_journal) AS missing
UNION ALL
SELECT format('the journal says that %s %s session %s, and it is not so: %s', client, event, session_id, invented)
FROM (SELECT * FROM told_by_journal EXCEPT ALL SELECT * FROM told_by_rows) AS invented (client, transaction, session_id, event)
UNION ALL
SELECT format('%s of event %s of the journal', lower(action), id)
FROM journal_ledger
WHERE action <> 'INSERT' AND client <> 'control connection'
UNION ALL
SELECT format(
    'the journal says of session %s %s at %s with %s messages, and the archive %s with %s',
    session_id, last.event, last.at, last.message_count, archived.archived_at, archived.messages
)
FROM (
    SELECT DISTINCT ON (session_id) * FROM place_event WHERE is_of_archive ORDER BY session_id, id DESC
) AS last
FULL JOIN (
    SELECT session.id AS session_id, session.archived_at, count(message.id) AS messages
    FROM engine_chat_session_archive AS session
    LEFT JOIN engine_chat_message_archive AS message
        ON session.id = message.session_id AND session.archived_at = message.archived_at
    GROUP BY session.id, session.archived_at
) AS archived USING (session_id)
WHERE
    CASE WHEN last.event = 'archived' THEN (last.at, last.message_count) END
    IS DISTINCT FROM CASE WHEN archived.archived_at IS NOT NULL THEN (archived.archived_at, archived.messages) END
UNION ALL
SELECT format('the last event of session %s is %s, and it is %s', last.session_id, last.event, coalesce(live.place, 'not live'))
FROM (
    SELECT DISTINCT ON (session_id) * FROM place_event WHERE is_of_live ORDER BY session_id, id DESC
) AS last
LEFT JOIN present AS live ON last.session_id = live.session_id AND (live.place, live.kind) = ('live', 'session')
WHERE
    (last.event = 'restored') <> (live.place IS NOT NULL)
    AND last.session_id NOT IN (SELECT session_id FROM known_to_application_only)
UNION ALL
SELECT format('event %s of session %s is later than the one after it', id, session_id)
FROM (SELECT id, session_id, at > lead(at) OVER (PARTITION BY session_id ORDER BY id) AS is_late FROM place_event) AS ordered
WHERE is_late
UNION ALL
SELECT format('%s said it %s %s sessions, and the journal says %s', client, roles.deed, said.sessions, written.sessions)
FROM (SELECT client, sum(sessions) AS sessions, sum(messages) AS messages FROM answers GROUP BY client) AS said
INNER JOIN roles ON regexp_replace(said.client, '_\d$', '') = roles.role
CROSS JOIN LATERAL (
    SELECT count(*) AS sessions, coalesce(sum(message_count), 0) AS messages FROM journal_ledger
    WHERE journal_ledger.client = said.client AND (journal_ledger.action, journal_ledger.event) = ('INSERT', roles.deed)
) AS written
WHERE (said.sessions, said.messages) <> (written.sessions, written.messages)
UNION ALL
-- A call that moved nothing is no batch.
SELECT format('the run of %s has %s batches, %s sessions and %s messages', started_by, run.batches, run.sessions, run.messages)
FROM engine_archive_run AS run
WHERE
    (run.sessions, run.messages) <> (
        SELECT count(*), coalesce(sum(message_count), 0) FROM engine_archive_event AS event WHERE event.run_id = run.id
    )
    OR run.batches <> (
        SELECT count(*) FROM answers
        WHERE answers.client = run.started_by AND answers.sessions > 0
    );

-- PL/pgSQL plans once for all permutations of a spec, which takes longer than to look.
CREATE FUNCTION verdict() RETURNS text LANGUAGE plpgsql AS $function$
BEGIN
    RETURN (SELECT coalesce(string_agg(violation.what, E'\n'), 'all is well') FROM violation);
END;
$function$;

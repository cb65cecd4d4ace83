-- What must be true after every order of events, and what is needed to judge it.
--
-- Triggers write a ledger of every row that enters or leaves one of the four chat tables, in the
-- transaction that does it, under the name of the client: what rolls back has no entry. The view
-- `violation` compares the ledger with what the tables hold. It is installed where the tables are.

CREATE TABLE ledger (
    client text NOT NULL DEFAULT substring(current_setting('application_name') FROM '[^/]*$'),
    -- the client without the number of a second one like it
    role text GENERATED ALWAYS AS (regexp_replace(client, '_\d$', '')) STORED,
    place text NOT NULL,
    kind text NOT NULL,
    action text NOT NULL,
    session_id uuid NOT NULL,
    -- a session that is made again with the id of another is not that other: it has a prompt of its own
    key text NOT NULL,
    image jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What the functions said that they moved.
CREATE TABLE answers (client text NOT NULL, sessions bigint NOT NULL, messages bigint NOT NULL);

CREATE FUNCTION write_ledger() RETURNS trigger LANGUAGE plpgsql AS $function$
DECLARE
    v_place text := TG_ARGV[0];
    v_kind text := TG_ARGV[1];
    v_row jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END) - 'archived_at';
BEGIN
    INSERT INTO ledger (place, kind, action, session_id, key, image)
    VALUES (
        v_place,
        v_kind,
        TG_OP,
        (v_row ->> CASE v_kind WHEN 'session' THEN 'id' ELSE 'session_id' END)::uuid,
        concat_ws(' ', v_row ->> 'id', v_row ->> 'system_prompt'),
        v_row
    );
    RETURN NULL;
END;
$function$;

CREATE TRIGGER write_ledger AFTER INSERT OR UPDATE OR DELETE ON $sessions
FOR EACH ROW EXECUTE FUNCTION write_ledger('live', 'session');
CREATE TRIGGER write_ledger AFTER INSERT OR UPDATE OR DELETE ON $messages
FOR EACH ROW EXECUTE FUNCTION write_ledger('live', 'message');
CREATE TRIGGER write_ledger AFTER INSERT OR UPDATE OR DELETE ON $session_archive
FOR EACH ROW EXECUTE FUNCTION write_ledger('archive', 'session');
CREATE TRIGGER write_ledger AFTER INSERT OR UPDATE OR DELETE ON $message_archive
FOR EACH ROW EXECUTE FUNCTION write_ledger('archive', 'message');

-- What has been archived may be purged at once, and what is old may be pruned (30 days).
UPDATE engine_archive_policy SET purge_after = interval '1 microsecond' WHERE session_type = '*';

-- Before every permutation: the session ...01 with three messages and ...02 with two, both old; and
-- ...03 in daily use, which is nobody's business. `archived` names those that are in the archive.
-- ...02 is older: what goes by age meets them in the other order than what goes by id.
CREATE PROCEDURE start_again(archived uuid[]) LANGUAGE plpgsql AS $procedure$
BEGIN
    DELETE FROM engine_chat_sessions;
    DELETE FROM engine_chat_message_archive;
    DELETE FROM engine_chat_session_archive;
    DELETE FROM engine_session_hold;
    DELETE FROM ledger;
    DELETE FROM answers;

    INSERT INTO engine_chat_sessions (id, title, system_prompt, updated_at)
    SELECT
        ('00000000-0000-0000-0000-00000000000' || number)::uuid,
        'title',
        'first',
        now() - number * interval '100 days' * (number < 3)::integer
    FROM generate_series(1, 3) AS number;
    INSERT INTO engine_chat_messages (session_id, id, role, content)
    SELECT
        session.id,
        (left(session.id::text, -4) || right(session.id::text, 1) || '00' || number)::uuid,
        'user',
        'content'
    FROM engine_chat_sessions AS session, generate_series(1, 3) AS number
    WHERE number <= 4 - right(session.id::text, 1)::integer;

    INSERT INTO engine_chat_session_archive
    SELECT now() - interval '1 day', live.* FROM engine_chat_sessions AS live WHERE live.id = ANY(archived);
    INSERT INTO engine_chat_message_archive
    SELECT now() - interval '1 day', live.* FROM engine_chat_messages AS live WHERE live.session_id = ANY(archived);
    DELETE FROM engine_chat_sessions AS live WHERE live.id = ANY(archived);

    -- As if the rows had been made where they are.
    DELETE FROM ledger WHERE action = 'DELETE' OR place = 'archive';
END;
$procedure$;

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
WHERE action = 'INSERT' AND place = 'live' AND role NOT IN ('archive', 'archive_reversed', 'prune', 'restore', 'restore_other');

-- ... and what left for good, by the hand of one that may.
CREATE VIEW ended AS
SELECT DISTINCT kind, key FROM ledger
WHERE
    action = 'DELETE'
    AND (
        (place = 'live' AND role = 'session_delete')
        OR (place = 'live' AND role = 'message_delete' AND kind = 'message')
        OR (place = 'archive' AND role = 'purge')
    );

CREATE VIEW violation AS
WITH
-- a row that left one place and came to the other, column for column
departures AS (
    SELECT client, kind, key, image, place FROM ledger
    WHERE action = 'DELETE' AND role NOT IN ('session_delete', 'message_delete', 'purge')
),

arrivals AS (
    SELECT client, kind, key, image, CASE place WHEN 'live' THEN 'archive' ELSE 'live' END
    FROM ledger
    WHERE
        action = 'INSERT'
        AND (place = 'archive' OR role IN ('restore', 'restore_other'))
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
            count(*) FILTER (WHERE ledger.kind = 'session'),
            count(*) FILTER (WHERE ledger.kind = 'message')
        FROM ledger
        WHERE ledger.client = answers.client AND ledger.action = 'DELETE'
    )
UNION ALL
SELECT format('%s moved session %s, which was on hold', ledger.client, ledger.session_id)
FROM ledger
INNER JOIN engine_session_hold AS hold USING (session_id)
WHERE
    ledger.kind = 'session'
    AND ledger.action = 'DELETE'
    AND ledger.role IN ('archive', 'archive_reversed', 'prune', 'purge')
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
SELECT format('%s touched session %s, which is nobody''s business', client, session_id)
FROM ledger
WHERE session_id = '00000000-0000-0000-0000-000000000003' AND client <> 'control connection';

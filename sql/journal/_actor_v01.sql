-- _actor: who is on record for what a function does.
--
-- The argument of the call; or else the setting aria_db.actor, which does not survive a pooler or
-- autocommit, so that the argument is the safe way; or else the role that connected.
-- A plain expression: the planner inlines it.
CREATE OR REPLACE FUNCTION _actor(actor text)
RETURNS text
LANGUAGE sql
STABLE
AS $function$
    SELECT coalesce(nullif(actor, ''), nullif(current_setting('aria_db.actor', TRUE), ''), session_user);
$function$;

COMMENT ON FUNCTION _actor(text) IS
'Internal: the actor that the journal records for a call.';

REVOKE ALL ON FUNCTION _actor(text) FROM public;

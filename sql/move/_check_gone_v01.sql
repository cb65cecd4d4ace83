-- _check_gone: AR006 where a place still holds rows of sessions that were deleted there.
CREATE OR REPLACE FUNCTION _check_gone(place text, session_ids uuid[])
RETURNS void
LANGUAGE plpgsql
STABLE
AS $function$
BEGIN
    PERFORM _compare_images('{}', _chat_images(place, session_ids, FALSE));
END;
$function$;

COMMENT ON FUNCTION _check_gone(text, uuid[]) IS
'Internal to the moves: AR006 where a place still holds rows of sessions that were deleted there.';

REVOKE ALL ON FUNCTION _check_gone(text, uuid[]) FROM public;

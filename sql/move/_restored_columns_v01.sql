-- _restored_columns: the values that a restore gives a row of the sessions, as a list for SQL.
--
-- Each column as it was archived, in the order of _insertable_columns; but a soft delete by the
-- application becomes 'active': no list would show the session otherwise.
CREATE OR REPLACE FUNCTION _restored_columns(chat_table regclass, is_new boolean DEFAULT TRUE)
RETURNS text
LANGUAGE sql
STABLE
AS $function$
    SELECT regexp_replace(
        _insertable_columns(chat_table, is_new),
        '(^|, )status(,|$)',
        E'\\1CASE status WHEN ''archived'' THEN ''active'' ELSE status END\\2'
    );
$function$;

COMMENT ON FUNCTION _restored_columns(regclass, boolean) IS
'Internal to the moves: the values that a restore gives a row of the sessions, as a list for SQL.';

REVOKE ALL ON FUNCTION _restored_columns(regclass, boolean) FROM public;

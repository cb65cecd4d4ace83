-- Without a look at the triggers of the laws: the moves do here what they do on tables without any.
CREATE OR REPLACE FUNCTION _are_tables_plain() RETURNS boolean LANGUAGE sql AS 'SELECT TRUE';

"""Faults in what is read, lists, counts and the verification, and in privileges."""

from tests.proofs.mutations.mutation import Mutations, fault

_DAMAGE = (
    "sql/operations/test_verify.py::test_what_other_code_does_is_found_and_nothing_but_that[{}]"
)


def mutations() -> Mutations:
    yield fault(
        "verify_archive",
        "archived messages without a session are not found",
        (
            "            places.archived > 0 AND NOT places.is_archived AND NOT places.is_live,",
            "FALSE,",
        ),
        test=_DAMAGE.format("an archived session is deleted without its messages-tables"),
    )
    yield fault(
        "verify_archive",
        "a session in both places is not found where its messages are in one",
        (
            "places.is_live AND (places.is_archived OR places.archived > 0),",
            "places.is_live AND places.archived > 0 AND places.live > 0,",
        ),
        test=_DAMAGE.format("an archived session is created again-tables"),
    )
    yield fault(
        "verify_archive",
        "rows that a policy hides are passed over",
        ("SET row_security = 'off'\n", ""),
        test="sql/operations/test_verify.py::"
        "test_rows_that_a_policy_hides_are_an_error_and_not_nothing",
    )
    yield fault(
        "archive_access",
        "an application may purge",
        (
            "('purge_archive(text, integer, bigint, text)', NULL, NULL, NULL, 'EXECUTE')",
            "('purge_archive(text, integer, bigint, text)', NULL, NULL, 'EXECUTE', 'EXECUTE')",
        ),
        test="sql/operations/test_grant.py::"
        "test_a_grant_gives_exactly_what_the_matrix_says_of_every_object_there_is[app]",
    )
    yield from _privileges()
    yield fault(
        "engine_chat_session_list",
        "soft-deleted sessions are listed",
        ("WHERE status <> 'archived'", "WHERE TRUE"),
        test="sql/lists/test_views.py::test_each_view_has_its_sessions_and_no_others[tables]",
    )
    yield fault(
        "count_prunable_sessions",
        "the dry run counts what waits",
        ("            count(*) FILTER (WHERE due.reason IS NULL),", "            count(*),"),
        test="sql/retention/test_prune.py::"
        "test_the_dry_run_counts_what_the_prune_then_does_and_what_waits[{}]",
    )
    yield fault(
        "archive_hazards",
        "a publication without the archive is not found",
        (
            "        'archive not published',\n        archive.name,\n        'loses',",
            "'trigger', '', 'slow',",
        ),
        test="sql/operations/test_hazards.py::"
        "test_a_publication_without_an_archive_loses_what_is_archived[tables]",
    )
    yield fault(
        "archive_hazards",
        "a publication of no deletes is taken for one that loses rows",
        ("        WHERE publication.pubdelete\n", ""),
        test="sql/operations/test_hazards.py::"
        "test_a_publication_of_all_tables_or_of_no_deletes_is_no_hazard"
        "[FOR TABLE {live} WITH (publish = 'insert, update')-tables]",
    )
    yield fault(
        "set_archive_dependent",
        "a publication of all tables keeps dependent rows in their archive",
        (
            "ALTER TABLE %I.%I REPLICA IDENTITY FULL",
            "ALTER TABLE %I.%I REPLICA IDENTITY DEFAULT",
        ),
        test="sql/operations/test_hazards.py::"
        "test_a_publication_of_all_tables_or_of_no_deletes_is_no_hazard[FOR ALL TABLES-tables]",
    )


def _privileges() -> Mutations:
    repairs = "sql/operations/test_repair.py::{}"
    yield fault(
        "_excess_privileges",
        "a function without a list of privileges is nobody's",
        (
            "aclexplode(coalesce(routine.proacl, acldefault('f', routine.proowner)))",
            "aclexplode(routine.proacl)",
        ),
        test=repairs.format(
            "test_after_a_restore_without_privileges_everybody_may_call_everything"
            "_until_it_is_repaired"
        ),
    )
    yield fault(
        "_excess_privileges",
        "what a kind of access has may be everybody's",
        (
            "            grantee_role.oid IS NULL\n            OR NOT EXISTS",
            "            NOT EXISTS",
        ),
        test=repairs.format(
            "test_what_is_everybodys_is_unsafe_although_a_kind_of_access_has_it"
            "[EXECUTE ON FUNCTION archive_session(uuid, text)]"
        ),
    )
    yield fault(
        "_excess_privileges",
        "privileges on columns are passed over",
        ("WHERE its_column.attrelid = relation.oid", "WHERE FALSE"),
        test=repairs.format(
            "test_what_no_kind_of_access_has_is_unsafe_and_a_repair_revokes_that_alone"
            "[UPDATE (content) ON engine_chat_message_archive-tables]"
        ),
    )
    yield fault(
        "_excess_privileges",
        "the tables beneath the views are ignored",
        ("WHERE chat.place = 'archive'", "WHERE FALSE"),
        test=repairs.format(
            "test_a_repair_covers_archive_tables_and_the_archives_of_dependents[views]"
        ),
    )
    yield fault(
        "_excess_privileges",
        "members of the owner are others",
        ("'MEMBER'), FALSE)", "'MEMBER'), FALSE) IS NULL"),
        test=repairs.format("test_superusers_and_members_of_the_owner_are_no_hazard"),
    )
    yield fault(
        "repair_archive_access",
        "what it may not revoke is no error",
        ("    IF FOUND THEN", "    IF FALSE THEN"),
        test=repairs.format(
            "test_what_somebody_else_granted_and_keeps_is_an_error_and_nothing_is_changed"
        ),
    )
    yield fault(
        "_schema_creators",
        "everybody is nobody",
        ("            grantee_role.oid IS NULL\n            OR NOT (", "            NOT ("),
        test="install/test_privileges.py::"
        "test_a_schema_in_which_others_may_create_is_refused_until_it_is_revoked"
        "[PUBLIC-_refusal_by_upgrade]",
    )
    yield fault(
        "_schema_creators",
        "the owner of the database is somebody else",
        (
            "                OR pg_has_role(grantee_role.oid, this_database.datdba, 'MEMBER')\n",
            "",
        ),
        test="install/test_privileges.py::"
        "test_superusers_owners_and_their_members_may_create_in_the_schema",
    )
    yield fault(
        "set_archive_dependent",
        "default privileges give others the archive of another table",
        ("AND entry.grantee <> archive.relowner", "AND FALSE"),
        test=repairs.format(
            "test_default_privileges_give_nothing_on_the_archive_of_another_table[tables]"
        ),
    )

"""Faults in what is read: lists, counts, the verification, and the matrix of privileges."""

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
            "('purge_archive(text, integer, bigint, text)', NULL, NULL, 'EXECUTE')",
            "('purge_archive(text, integer, bigint, text)', NULL, 'EXECUTE', 'EXECUTE')",
        ),
        test="sql/operations/test_grant.py::"
        "test_a_grant_gives_exactly_what_the_matrix_says_of_every_object_there_is[app]",
    )
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

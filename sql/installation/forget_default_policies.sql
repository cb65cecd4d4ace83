-- Deletes the policies that nobody has changed since the upgrade inserted them.
DELETE FROM engine_archive_policy
WHERE
    (session_type, archive_after) IN (
        ('*', interval '30 days'),
        ('cron', interval '1 day'),
        ('swarm', interval '1 day'),
        ('subagent', interval '1 day')
    )
    AND purge_after IS NULL
    AND enabled;

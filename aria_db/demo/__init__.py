"""The demo: one session archived through each client, with a look before and after.

It runs on an embedded PostgreSQL of its own, never on a configured database, and checks what
it prints: if a look shows anything but what archiving promises, the demo fails.
"""

from __future__ import annotations

from rich.console import Console

from aria_db import conversations, embedded
from aria_db.database import Database
from aria_db.demo.data import data_directory, recreate_database
from aria_db.demo.next_steps import print_next_steps
from aria_db.demo.processes import api, aria_db
from aria_db.demo.steps import Demo

LEGEND = """
live, archive: rows in the two tables, session + messages
in list, in archive: whether GET /api/engine/sessions and .../archive show it
"""


def run(console: Console) -> bool:
    """Run the demo.

    :param console: where to print.
    :return: whether every check passed.
    :raises aria_db.embedded.EmbeddedUnavailable: the embedded PostgreSQL cannot run.
    :raises aria_db.errors.InvalidConfiguration: ``ARIA_DB_DATA`` names a directory with other
        data.
    """
    directory = data_directory()
    console.print("[bold]1. An embedded PostgreSQL[/bold] in", str(directory), soft_wrap=True)
    with embedded.start(directory) as server:
        recreate_database(server)
        database = Database(server.url())
        console.print("\n[bold]2. Upgrade and import the sample conversations[/bold]")
        aria_db(database, "upgrade")
        aria_db(database, "import", str(conversations.SAMPLE))
        with api(database) as address:
            demo = Demo(console, database, address)
            try:
                console.print("\n[bold]3. Archive a session through each client[/bold]")
                console.print(LEGEND)
                demo.archive_through_each_client()
                console.print("\n[bold]4. Restore one[/bold]")
                demo.restore_one()
                console.print("\n[bold]5. Prune what is old: a dry run, the run, its log[/bold]")
                demo.prune()
            finally:
                demo.engine.dispose()
    if demo.all_true:
        console.print("\nAll checks passed. To look around in the same data:\n")
        print_next_steps(console, directory)
    else:
        console.print("\n[red]Not all checks passed.[/red]")
    return demo.all_true

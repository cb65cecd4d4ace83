"""``python -m aria_db`` is ``aria-db``."""

from aria_db.cli import main

if __name__ == "__main__":
    main()

"""``python -m ser.verify``: check a run against its card, its predictions and its corpus."""

import argparse
import sys
from pathlib import Path

from ser.command import friendly_errors

WHAT = "Check a finished run against its card, its predictions, its split and, where it is on disk, its corpus."
EXIT_CODES = "Exit code 0 if every check that can be made holds, 1 if one does not, 2 if there is nothing to check."


def main() -> None:
    """Verify the run that the command line names."""
    parser = argparse.ArgumentParser("python -m ser.verify", description=WHAT, epilog=EXIT_CODES)
    parser.add_argument("target", help="a run's folder, or the card.json in it")
    parser.add_argument("--corpora", metavar="DIR", help="where the corpora are (default: where the run found them)")
    parser.add_argument("--stores", metavar="DIR", help="where prepared corpora are kept")
    options = parser.parse_args()
    with friendly_errors():
        from rich.console import Console  # late: --help comes at once

        from ser.runs.card_page import checks_table
        from ser.runs.verification import verify

        checks = verify(Path(options.target).expanduser(), options.corpora, options.stores)
        Console().print(checks_table(checks, options.target))
    sys.exit(any(check.ok is False for check in checks))


if __name__ == "__main__":
    main()

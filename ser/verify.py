"""``python -m ser.verify``: is a run what its card, its predictions and its corpus say?"""

import argparse
import sys

from ser.errors import SerError

WHAT = "Check a finished run against its card, its predictions, its split and, where it is on disk, its corpus."
EXIT_CODES = "Exit code 0 if all that could be checked holds, 1 if something does not, 2 if there is nothing to check."


def main() -> None:
    """Verify the run that the command line names."""
    parser = argparse.ArgumentParser(
        "python -m ser.verify",
        description=WHAT,
        epilog=EXIT_CODES,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
    )
    parser.add_argument("target", help="a run's folder, or the card.json in it")
    parser.add_argument("--corpora", metavar="DIR", help="where the corpora are; by default, where the run found them")
    parser.add_argument("--stores", metavar="DIR", help="where prepared corpora are kept")
    options = parser.parse_args()

    from pathlib import Path

    from rich.console import Console

    from ser.runs.card_page import checks_table
    from ser.runs.verification import verify

    try:
        checks = verify(Path(options.target).expanduser(), options.corpora, options.stores)
    except SerError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    Console().print(checks_table(checks, options.target))
    sys.exit(any(check.ok is False for check in checks))


if __name__ == "__main__":
    main()

"""``python -m ser.verify``: check runs against their cards, their predictions, their checkpoints and their corpora."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ser.command import friendly_errors

if TYPE_CHECKING:
    from ser.runs.verifying.check import Verdict

WHAT = """
Check finished runs against their cards, their predictions, their splits, their checkpoints and, where they are on disk, their
corpora. Every number, stamp and finding is derived again and must be equal.
"""
LIMITS = """
Exit code 0: all holds; 1: something does not; 2: there is nothing to check; 3: all that was checked holds, but not all was
checked, such as where a corpus is absent or without --rescore. Of several runs: 1 before 2 before 3.

It shows that a run's files fit each other, the corpora and the code. It cannot show on what the checkpoints were trained:
they could be trained on the test speakers, and what they say of their training rewritten. --rescore shows that the
checkpoints give the predictions, no more.
"""
ORDER = (0, 3, 2, 1)
"""Exit codes from the best to the worst."""


def main() -> None:
    """Verify the runs that the command line names."""
    parser = argparse.ArgumentParser("python -m ser.verify", description=WHAT, epilog=LIMITS)
    parser.add_argument(
        "targets", nargs="+", metavar="target", help="a run's folder, the card.json in it, or a folder of runs"
    )
    parser.add_argument(
        "--rescore", action="store_true", help="score the checkpoints again, and compare the predictions"
    )
    parser.add_argument("--corpora", metavar="DIR", help="where the corpora are (default: where the runs found them)")
    parser.add_argument("--stores", metavar="DIR", help="where prepared corpora are kept")
    options = parser.parse_args()
    with friendly_errors():
        from ser.runs.verifying.below import runs_of  # late: --help comes at once

        runs = [run for target in options.targets for run in runs_of(Path(target).expanduser())]
        codes = [_verified(run, options, alone=len(runs) == 1).code for run in runs]
    sys.exit(max(codes, key=ORDER.index))


def _verified(run: Path, options: argparse.Namespace, *, alone: bool) -> "Verdict":
    """Print the checks of a run, of several runs those that do not hold or were not possible, and its verdict."""
    from rich.console import Console

    from ser.rescoring.verified import verified
    from ser.runs.card_page import checks_table
    from ser.runs.verifying.check import UncheckedError, Verdict, verdict

    console = Console()
    try:
        checks = verified(run, options.corpora, options.stores, rescore=options.rescore)
    except UncheckedError as error:
        if alone:
            raise
        console.print(f"{run}: {error}", highlight=False, markup=False, soft_wrap=True)
        return Verdict(error.exit_code, str(error))
    shown = checks if alone else [check for check in checks if not check.ok]
    if shown:
        console.print(checks_table(shown, str(run)))
    found = verdict(checks)
    console.print(f"{run}: {found.words}", highlight=False, markup=False, soft_wrap=True)
    return found


if __name__ == "__main__":
    main()

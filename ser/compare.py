"""``python -m ser.compare``: hold runs against each other, where they can be, in tables, pictures and a page."""

import argparse
import sys
from pathlib import Path

from ser.errors import SerError


def main() -> None:
    """Compare the runs below the folders given."""
    parser = argparse.ArgumentParser(
        "python -m ser.compare",
        description="Compare runs: scores with intervals over speakers, paired tests, and a page with pictures. "
        "Runs that differ in seed and fold only are one system; what was scored on other data is set apart.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
    )
    parser.add_argument("folders", nargs="+", type=Path, help="of runs, or with runs below them: runs multirun/...")
    parser.add_argument("--baseline", metavar="NAME", help="a system of the table (default: the fewest parameters)")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="where to write (default: compare-<date>-<time>)")
    asked = parser.parse_args()
    try:
        from ser.comparison.leaderboard import compare  # late: --help comes at once

        compare(asked.folders, asked.baseline, asked.out)
    except SerError as error:
        sys.stderr.write(f"\n{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

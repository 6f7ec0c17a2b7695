"""``python -m ser.compare``: compare runs in tables, pictures and a page."""

import argparse
from pathlib import Path

from ser.command import friendly_errors


def main() -> None:
    """Compare the runs below the folders given."""
    parser = argparse.ArgumentParser(
        "python -m ser.compare",
        description="Compare runs: scores with intervals over speakers, paired tests, and a page with pictures. Runs that "
        "differ only in seed and fold are one system. Each corpus has a section; other labels or splits are listed apart.",
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        help="run folders, folders of runs, and tables of predictions from elsewhere: runs multirun/... mine.csv",
    )
    parser.add_argument("--baseline", metavar="NAME", help="a system of the table (default: the fewest parameters)")
    parser.add_argument(
        "--equivalent",
        metavar="MARGIN",
        type=float,
        help="also test which systems are equal within so many points of UAR (hundredths of CCC)",
    )
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="where to write (default: compare-<date>-<time>)")
    options = parser.parse_args()
    with friendly_errors():
        from ser.comparison.leaderboard import compare  # late: --help comes at once

        compare(options.folders, options.baseline, options.out, options.equivalent)


if __name__ == "__main__":
    main()

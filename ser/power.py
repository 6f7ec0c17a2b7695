"""``python -m ser.power``: the smallest difference between two methods that a protocol can see."""

import argparse
import sys
from pathlib import Path

from ser.command import friendly_errors


def main() -> None:
    """Print the smallest difference that is found with the given power."""
    parser = argparse.ArgumentParser(
        "python -m ser.power",
        description="The smallest difference between two methods that a protocol with these speakers, folds and seeds can "
        "see, simulated from the predictions of runs at hand: two seeds or more of one system.",
    )
    parser.add_argument("folders", nargs="+", type=Path, help="run folders, or folders of runs: runs/a runs/b")
    parser.add_argument(
        "--speakers", metavar="N", type=int, help="test speakers of all folds (default: as in the runs)"
    )
    parser.add_argument("--folds", metavar="N", type=int, help="folds (default: as in the runs)")
    parser.add_argument("--seeds", metavar="N", type=int, default=5, help="trainings of each method (default: 5)")
    parser.add_argument("--power", metavar="SHARE", type=float, default=0.8, help="how often to find it (default: 0.8)")
    options = parser.parse_args()
    with friendly_errors():
        from ser.comparison.power import plan  # late: --help comes at once

        text = plan(options.folders, options.speakers, options.folds, options.seeds, options.power)
        sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()

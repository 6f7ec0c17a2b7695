"""Keep finished runs in ``results/``, without their weights, pages and pictures.

    python scripts/keep_results.py runs/<name> multirun/<name>

Each run is kept under its own name without the time. ``python -m ser.verify results/`` then checks every number that the
README takes from it; with the corpora at hand, its splits, stamps and audit, too.
"""

import json
import re
import shutil
import sys
from pathlib import Path

from ser.runs.folder import CARD, LARGE, RunFolder
from ser.runs.verifying.below import runs_of

RESULTS = Path(__file__).parent.parent / "results"
TIME = re.compile(r"-\d{8}-\d{6}.*")


def keep(run: Path) -> Path:
    """Copy the small files that a run's card covers, and the card, and return the new folder."""
    names = [CARD, *json.loads((run / CARD).read_text())["files"]]
    kept = RESULTS / TIME.sub("", RunFolder(run).path.name)
    shutil.rmtree(kept, ignore_errors=True)
    for name in names:
        if not name.endswith(LARGE):
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / name, kept / name)
    return kept


def main() -> None:
    """Keep the runs that the command line names."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for run in [run for target in sys.argv[1:] for run in runs_of(Path(target))]:
        print(keep(run))


if __name__ == "__main__":
    main()

"""Keep finished runs in ``results/``, without their weights, pages and pictures, and write ``results/README.md`` about all.

    python scripts/keep_results.py runs/<name> multirun/<name>
    python scripts/keep_results.py                            write the page anew

A run is kept under its own name without the time. ``python -m ser.verify results/`` then checks every number that the README
takes from it; with the corpora at hand, its splits, stamps and audit, too.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path

from ser.command import friendly_errors
from ser.comparison.leaderboard import rank_systems
from ser.comparison.systems import find
from ser.comparison.tables import markdown
from ser.errors import RunError
from ser.runs.folder import CARD, LARGE, RunFolder
from ser.runs.verifying.below import runs_of
from ser.runtime.files import write_text

RESULTS = Path(__file__).parent.parent / "results"
TIME = re.compile(r"-\d{8}-\d{6}.*")
ABOUT = """# Results

The runs behind the README and `docs/results.md`, without their weights and pictures: each folder has its card, predictions,
splits and settings. Check all of them, with the corpora where you have them:

```bash
python -m ser.verify results --corpora <folder of the corpora>
```

It ends with "holds, but not all was checked", as the weights are absent. `python scripts/keep_results.py` writes this page;
what follows the commands is from `python -m ser.compare results`.

| run | command |
|---|---|
"""


def name_of(run: RunFolder) -> str:
    """Return the name of a kept run: that of its folder without the time, and its seed where it is not 0."""
    name, seed = TIME.sub("", run.path.name), f"-seed{run.about['seed']}"
    return name if seed == "-seed0" or seed in name else name + seed


def keep(run: RunFolder, results: Path = RESULTS) -> None:
    """Copy the small files that a run's card covers, and the card, in place of an earlier copy.

    Raises:
        RunError: If a run with other settings is kept under its name.
    """
    kept = results / name_of(run)
    small = [name for name in (CARD, *(run.card or {})["files"]) if not name.endswith(LARGE)]
    if kept.resolve() == run.path.resolve():  # it is the copy
        return
    if kept.exists() and RunFolder(kept).config != run.config:
        raise RunError(
            f"{kept} must be of a run with the settings of {run.path}; got one with others. Rename the folder of the run, or "
            "remove the copy."
        )
    shutil.rmtree(kept, ignore_errors=True)
    for name in small:
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run.path / name, kept / name)


def page(results: Path = RESULTS) -> str:
    """Return the page about all kept runs."""
    rows = []
    for path in runs_of(results):
        command = (RunFolder(path).card or {})["environments"][0]["command"]
        rows.append(f"| [{path.name}]({path.name}) | `python -m ser.train {shlex.join(command)}` |\n")
    comparison, _ = rank_systems(*find([results]))
    return ABOUT + "".join(rows) + "\n" + markdown(comparison).replace("# Comparison", "# Comparison of all", 1)


def main() -> None:
    """Keep the runs that the command line names, and write the page."""
    with friendly_errors():
        for run in [run for target in sys.argv[1:] for run in runs_of(Path(target))]:
            keep(RunFolder(run.resolve()))
        write_text(page(), RESULTS / "README.md")


if __name__ == "__main__":
    main()

"""The tested sibling of a final model: the run of the same settings over all folds, whose numbers the model carries."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.evaluation.measure import measure_in
from ser.runs.alike import beside
from ser.runs.folder import SIBLING, RunFolder
from ser.runtime.files import write_json

log = logging.getLogger(__name__)
NONE = (
    "This model was not tested, and no finished run of the same settings with fold=all was found in %s. Train one, too."
)


def sibling_of(runs: Path, config: Mapping[str, Any]) -> RunFolder | None:
    """Return the newest finished run in a folder that has the same settings but ``fold=all``."""
    found = beside(runs, {**config, "fold": "all"})
    return next((run for run, different in found if not different and run.is_finished), None)


def write_sibling(folder: Path, config: Mapping[str, Any]) -> None:
    """Write to a final model's folder what its sibling says of new speakers, and log it."""
    runs = Path(config["paths"]["runs"]).expanduser()
    if (run := sibling_of(runs, config)) is None:
        log.warning(NONE, runs.resolve())
        return
    measure, about = measure_in(run.metrics), run.about
    interval = run.metrics[f"{measure.key}_interval"]
    found = {measure.key: run.metrics[measure.key], f"{measure.key}_interval": interval}
    kept = {key: about[key] for key in ("protocol", "splits", "fingerprint", "stamps", "seed") if key in about}
    write_json({"run": run.name, **found, **kept}, folder / SIBLING)
    log.info(
        "This model was not tested. Its sibling of the same settings was, on speakers that did not train it: %r", run
    )

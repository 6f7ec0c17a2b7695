"""The page of the server as files alone: a browser runs the exported model, and no recording leaves it."""

import json
import shutil
from pathlib import Path

from ser.errors import ConfigError
from ser.inference.load import load
from ser.runtime.files import replacing, write_text
from ser.serving.about import about_of, training_facts

HERE = Path(__file__).parent
MODEL, PAGE, ENGINE, RUNTIME = "model.onnx", "index.html", "engine.js", "onnxruntime"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""Of onnxruntime-web, without those for graphics cards."""
MAIN = '<script>\n"use strict";'
"""Where the main script of the page begins."""


def check_runtime(runtime: str | None) -> Path:
    """Return the folder of onnxruntime-web.

    Raises:
        ConfigError: If it is none.
    """
    folder = Path(runtime or "").expanduser()
    missing = next((name for name in FILES if not (folder / name).is_file()), None)
    if runtime is None or missing is not None:
        raise ConfigError(
            "runtime must be the folder dist of onnxruntime-web with format=page; "
            f"got {'none' if runtime is None else f'{folder}, which has no {missing}'}. "
            "Get it with npm install onnxruntime-web, and set runtime=node_modules/onnxruntime-web/dist."
        )
    return folder


def write_site(out: Path, runtime: Path, run: Path) -> Path:
    """Write the page beside a model in ONNX, with what runs it.

    Args:
        out: A folder that holds ``model.onnx``.
        runtime: The folder of onnxruntime-web.
        run: The run's folder or checkpoint, for what is known of its training.

    Returns:
        The page.
    """
    scorer = load(out / MODEL).scorer
    facts = {
        **about_of("model", scorer, training_facts(run)),
        "trim_db": scorer.audio.trim_db,
        "min_ms": scorer.audio.min_ms,
        "threshold": None if scorer.calibration is None else scorer.calibration.threshold,
    }
    copied = {out / RUNTIME / name: runtime / name for name in FILES} | {out / ENGINE: HERE / ENGINE}
    for target, source in copied.items():
        with replacing(target) as unfinished:
            shutil.copyfile(source, unfinished)
    plain = json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c")  # no text ends the script
    scripts = f'<script type="application/json" id="facts">{plain}</script>\n<script src="{ENGINE}"></script>\n'
    before, main, after = HERE.joinpath("page.html").read_text("utf-8").partition(MAIN)
    write_text(before + scripts + main + after, out / PAGE)
    return out / PAGE

"""The page that needs no server: its files, and that they say of the model what a server says."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ser.errors import ConfigError
from ser.inference.exporting.write import export_checkpoint
from ser.inference.load import load
from ser.runs.folder import TOY_FILE
from ser.serving import site
from ser.serving.about import about_of


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """Stands for onnxruntime-web."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in site.FILES:
        (folder / name).write_text(name)
    return folder


@pytest.mark.slow
def test_a_page_holds_the_model_what_runs_it_and_what_is_known_of_it(tmp_path: Path, runtime: Path) -> None:
    out = tmp_path / "page"
    export_checkpoint(TOY_FILE, out / site.MODEL)
    page = site.write_site(out, site.check_runtime(str(runtime)), TOY_FILE)
    html = page.read_text("utf-8")
    scorer = load(out / site.MODEL).scorer
    facts = json.loads(re.findall(r'<script type="application/json" id="facts">(.*?)</script>', html)[0])
    assert facts.items() >= json.loads(json.dumps(about_of("model", scorer, {}))).items()
    assert (facts["trim_db"], facts["min_ms"]) == (scorer.audio.trim_db, scorer.audio.min_ms)
    assert scorer.calibration is not None
    assert facts["threshold"] == scorer.calibration.threshold
    assert html.index(site.ENGINE) < html.index("window.engine ||")  # what answers is there before it is asked
    assert sorted(file.name for file in out.iterdir()) == sorted([site.ENGINE, site.PAGE, site.MODEL, site.RUNTIME])
    assert sorted(file.name for file in (out / site.RUNTIME).iterdir()) == sorted(site.FILES)
    assert not re.search(r"https?://", html + (out / site.ENGINE).read_text())


def test_what_runs_it_is_asked_for(runtime: Path) -> None:
    with pytest.raises(ConfigError, match=r"^runtime must be the folder dist of onnxruntime-web .* got none"):
        site.check_runtime(None)
    (runtime / site.FILES[1]).unlink()
    with pytest.raises(ConfigError, match=rf"got .*, which has no {site.FILES[1]}"):
        site.check_runtime(str(runtime))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_scripts_are_javascript() -> None:
    html = (site.HERE / "page.html").read_text("utf-8")
    for script in (
        site.HERE.joinpath(site.ENGINE).read_text("utf-8"),
        re.findall(r"<script>(.*?)</script>", html, re.S)[0],
    ):
        subprocess.run(["node", "--check", "-"], input=script, text=True, check=True, capture_output=True)

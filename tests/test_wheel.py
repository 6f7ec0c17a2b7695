"""The wheel: it carries its configuration and the demo, and works where there is no checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


def test_wheel_contains_every_configuration_and_the_demo(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = {f"ser/conf/{p.relative_to(ROOT / 'conf')}" for p in (ROOT / "conf").rglob("*.yaml")}
    assert tracked <= names
    assert "hydra_plugins/ser_sweepers/grid.py" in names
    assert sum(name.startswith("ser/corpora/assets/demo/") and name.endswith(".ogg") for name in names) == 480
    assert not any(name.startswith(("tests/", "scripts/", "conf/")) for name in names)


def test_installed_wheel_trains_from_any_directory(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site), "SER_HOME": str(tmp_path / "home")}
    # -I would hide PYTHONPATH; -P keeps the checkout's folder, if that is the current one, off the path.
    python = [sys.executable, "-P", "-c", "import ser; print(ser.__file__)"]
    shown = subprocess.run(python, cwd=elsewhere, env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.startswith(str(site))
    command = [sys.executable, "-P", "-m", "ser.train", "model=transformer", "trainer.max_epochs=1", "logger=csv"]
    subprocess.run([*command, "trainer.enable_progress_bar=false"], cwd=elsewhere, env=environment, check=True)
    assert list(elsewhere.glob("runs/*/metrics.json"))

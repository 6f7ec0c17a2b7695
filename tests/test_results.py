"""The kept runs in results/: they verify, their page is of them, and the README's figures are theirs."""

import importlib.util
import re
from pathlib import Path

import pytest

from ser.runs.verification import verify
from ser.runs.verifying.below import runs_of

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
RUNS = runs_of(RESULTS)
SYSTEMS = {
    "linear SVM on eGeMAPS": "linear_svm",
    "light CNN from scratch": "cnn",
    "frozen Whisper-base": "layer_average",
}
"""Columns of the README's table, and what the page of results calls them."""
SCORE = re.compile(r"\d+\.\d \[\d+\.\d, \d+\.\d\]")


def table_of_readme() -> list[list[str]]:
    """The cells of the table of numbers in the README, its headings first."""
    rows = [line.strip("|").split("|") for line in numbers_of("README.md")]
    return [[cell.strip() for cell in row] for row in rows if not row[0].startswith("---")]


def numbers_of(page: str) -> list[str]:
    """The lines of the table of numbers on a page."""
    table = (ROOT / page).read_text().partition("| corpus, emotions, chance ")
    return "".join(table[1:]).partition("\n\n")[0].splitlines()


def scores_on_the_page() -> dict[tuple[str, str, str], str]:
    """The UAR of each system on the page of results, by corpus, protocol and system."""
    found = {}
    for section in re.split(r"^## ", (RESULTS / "README.md").read_text().replace("\\", ""), flags=re.MULTILINE)[1:]:
        corpus, protocol = re.search(r"^(?:Set apart: )?(\w+), (\w+)", section).groups()  # type: ignore[union-attr]
        for system, score in re.findall(rf"^\| (\w+)[^|]*\| ({SCORE.pattern})", section, flags=re.MULTILINE):
            found[corpus, protocol, system] = score
    return found


def test_every_figure_of_the_readme_is_of_a_kept_run() -> None:
    (_, _, *systems), *rows = table_of_readme()
    page = scores_on_the_page()
    assert set(systems) == set(SYSTEMS)
    assert len(rows) >= 4
    for named, protocol, *cells in rows:
        corpus = named.partition(",")[0].lower()
        name = protocol.partition(",")[0].strip("`")
        for system, cell in zip(systems, cells, strict=True):
            assert cell == page.get((corpus, name, SYSTEMS[system]), "not run"), (corpus, name, system)
    assert numbers_of("docs/results.md") == numbers_of("README.md")


@pytest.mark.slow
def test_page_is_of_the_kept_runs() -> None:
    spec = importlib.util.spec_from_file_location("keep_results", ROOT / "scripts" / "keep_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (RESULTS / "README.md").read_text() == module.page()


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_kept_run_verifies(run: Path, tmp_path: Path) -> None:
    checks = verify(run, str(tmp_path / "nowhere"), str(tmp_path / "stores"))
    assert [check for check in checks if check.ok is False] == []
    held = {check.name for check in checks if check.ok}
    assert {"card", "numbers", "profile", "split", "pooling"} <= held


@pytest.mark.slow
def test_kept_runs_of_a_corpus_have_its_splits_stamps_and_audit(tmp_path: Path, corpora_root: Path) -> None:
    runs = [run for run in RUNS if run.name.startswith("savee")]
    assert runs
    for run in runs:
        checks = {check.name: check for check in verify(run, str(corpora_root), str(tmp_path / "stores"))}
        assert [check for check in checks.values() if check.ok is False] == []
        assert all(checks[name].ok for name in ("corpus", "stamps", "audit", "folds"))

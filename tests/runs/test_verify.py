"""Verification finds every change to a finished run, and names what it cannot check."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ser.errors import RunError
from ser.evaluation import predictions
from ser.runs.card import write_card
from ser.runs.folder import RunFolder
from ser.runs.results import write_fold, write_results
from ser.runs.verification import Check, UncheckedError
from ser.runs.verification import verify as checks_of
from ser.runs.verifying.files import LATER_SCORES, verify_profile
from ser.runtime.files import write_json
from ser.training import experiment
from ser.verify import main
from tests.conftest import Settings
from tests.runs.conftest import LEFT_OUT, read


@pytest.fixture
def found(stores: Path) -> Callable[..., dict[str, Check]]:
    """Verify a run; the checks by their names."""

    def verified(run: Path, corpora: str | None = None) -> dict[str, Check]:
        return {check.name: check for check in checks_of(run, corpora, str(stores))}

    return verified


def failed(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.ok is False}


def forge(one: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change the predictions of a single fold, and make all that is computed from them fit; the card too."""
    fold = RunFolder(one / "fold_0")
    about = fold.about
    write_fold(RunFolder(fold.path), change(fold.predictions).reset_index(drop=True), fold.dev_predictions, about)
    write_results(RunFolder(one), [LEFT_OUT])


def replace_in(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def edit(file: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    write_json(content, file)


def test_unchanged_run_passes_every_check(run: Path, found: Callable[..., dict[str, Check]]) -> None:
    whole = found(run)
    assert all(check.ok for check in whole.values()), whole
    names = ["card", "files", "numbers", "profile", "split"]
    names += [f"fold_{fold} {check}" for fold in range(3) for check in ("numbers", "split")]
    names += ["pooling", *(f"fold_{fold} {check}" for fold in range(3) for check in ("selection", "checkpoint"))]
    names += ["corpus", "stamps", "audit", "folds", *(f"fold_{fold} statistics" for fold in range(3))]
    assert list(whole) == names
    assert whole == found(run / "card.json")


def test_fold_is_verified_with_its_run(run: Path, found: Callable[..., dict[str, Check]]) -> None:
    (run / "fold_1" / "checkpoints" / "best.ckpt").write_bytes(b"other weights")
    assert failed(found(run / "fold_1")) == {"files", "fold_1 checkpoint", "fold_1 statistics"}


def test_run_is_verified_from_inside_its_folder(one: Path, stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, target in ((one, Path()), (one, Path("card.json")), (one / "fold_0", Path())):
        monkeypatch.chdir(folder)
        assert [check.ok for check in checks_of(target, stores=str(stores))] == [True] * 15


@pytest.mark.parametrize("fold", ["0", pytest.param("all", marks=pytest.mark.slow)])
def test_trained_run_passes_every_check(settings: Settings, stores: Path, fold: str) -> None:
    folder = experiment.train(settings("trainer.max_epochs=1", f"fold={fold}"))
    checks = checks_of(folder, stores=str(stores))
    assert [check for check in checks if not check.ok] == []
    assert len(checks) == (15 if fold == "0" else 25)


def test_changed_probability_is_found(run: Path, found: Callable[..., dict[str, Check]]) -> None:
    file = run / "fold_0" / "predictions.parquet"
    table = predictions.read_predictions(file)
    predictions.write_predictions(table.assign(p_sad=table["p_sad"] + [1e-13, *[0.0] * (len(table) - 1)]), file)
    checks = found(run)
    assert failed(checks) == {"files", "pooling"}
    assert "fold_0/predictions.parquet" in checks["files"].detail


def test_changed_digit_of_the_metrics_is_found(one: Path, found: Callable[..., dict[str, Check]]) -> None:
    file = one / "metrics.json"
    accuracy = json.dumps(read(one, "metrics.json")["accuracy"])
    replace_in(file, accuracy, accuracy[:5] + str((int(accuracy[5]) + 1) % 10) + accuracy[6:])
    checks = found(one)
    assert failed(checks) == {"card", "files", "numbers"}
    assert "accuracy: " in checks["numbers"].detail
    write_card(RunFolder(one), [LEFT_OUT])
    assert failed(found(one)) == {"numbers"}


def test_changed_number_of_the_profile_is_found(one: Path, found: Callable[..., dict[str, Check]]) -> None:
    edit(one / "profile.json", lambda p: p["groups"]["sex"][0].update(uar=0.99))
    assert failed(found(one)) == {"files", "profile"}


def test_profile_without_a_score_of_later_versions_passes(one: Path) -> None:
    def voted(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{f"v_{name}": float(name == "sad") for name in predictions.classes(table)})

    forge(one, voted)
    edit(one / "profile.json", lambda p: [p["soft"].pop(score) for score in LATER_SCORES])
    verify_profile(RunFolder(one))
    edit(one / "profile.json", lambda p: p["soft"].update(jsd=0.5))
    with pytest.raises(RunError, match=r"differs from what the predictions give: soft\.jsd: 0\.5, not"):
        verify_profile(RunFolder(one))


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["numbers"].update(uar=card["numbers"]["uar"] + 1e-12),
        lambda card: card["numbers"]["confusion"][0].__setitem__(0, 99),
        lambda card: card.update(stamps=[]),
        lambda card: card["corpora"][0].update(title="RAVDESS"),
        lambda card: card["config"].update(seed=1),
        lambda card: card["environments"][0].update(git="0" * 40),
        lambda card: card.update(audit=[]),
        lambda card: card.pop("protocol"),
        lambda card: card.update(more="text"),
    ],
)
def test_changed_card_is_found(
    one: Path, found: Callable[..., dict[str, Check]], change: Callable[[Any], object]
) -> None:
    edit(one / "card.json", change)
    assert failed(found(one)) == {"card"}


def test_changed_page_or_checkpoint_is_found(one: Path, found: Callable[..., dict[str, Check]]) -> None:
    (one / "fold_0" / "checkpoints" / "best.ckpt").write_bytes(b"other weights")
    replace_in(one / "card.html", "% interval", "% certainty")
    checks = found(one)
    assert failed(checks) == {"files", "fold_0 checkpoint", "fold_0 statistics"}
    assert re.search(r"SHA-256: card.html, fold_0/checkpoints/best.ckpt\.", checks["files"].detail)


def test_change_in_one_fold_is_found_by_the_pooled_run(
    run: Path, one: Path, found: Callable[..., dict[str, Check]]
) -> None:
    def swap_two_clips(table: pd.DataFrame) -> pd.DataFrame:
        columns = [c for c in table.columns if c.startswith("p_")]
        table.loc[[0, 1], columns] = table.loc[[1, 0], columns].to_numpy()
        return table

    forge(one, swap_two_clips)
    assert failed(found(one)) == set()  # the run is consistent: only scoring its checkpoint would tell
    fold = RunFolder(run / "fold_0")
    write_fold(RunFolder(fold.path), swap_two_clips(fold.predictions), fold.dev_predictions, fold.about)
    assert failed(found(run)) >= {"files", "pooling"}


def test_consistently_changed_target_is_found_by_the_corpus(one: Path, found: Callable[..., dict[str, Check]]) -> None:
    was = predictions.read_predictions(one / "predictions.parquet")
    said = ["angry", "sad"][was["target"][0] == "angry"]
    forge(one, lambda table: table.assign(target=[said, *table["target"][1:]]))
    checks = found(one)
    assert failed(checks) == {"corpus"}
    assert (
        f"the target of {was['utterance'][0]} is {said}, but the corpus gives {was['target'][0]}"
        in checks["corpus"].detail
    )


@pytest.mark.parametrize("column", ["speaker", "sex", "sentence"])
def test_speaker_facts_are_compared_with_the_corpus(
    one: Path, found: Callable[..., dict[str, Check]], column: str
) -> None:
    forge(one, lambda table: table.assign(**{column: table[column].replace(table[column][0], "other")}))
    assert failed(found(one)) == {"corpus"}


def test_split_of_another_fold_is_found(run: Path, found: Callable[..., dict[str, Check]]) -> None:
    shutil.copy(run / "fold_1" / "split.json", run / "fold_0" / "split.json")
    assert failed(found(run)) == {"files", "fold_0 split"}
    write_card(RunFolder(run), [LEFT_OUT])
    assert failed(found(run)) == {"fold_0 split"}


def test_utterance_moved_from_test_to_train_is_found(one: Path, found: Callable[..., dict[str, Check]]) -> None:
    file = one / "split.json"
    edit(file, lambda split: split["folds"][0]["train"].append(split["folds"][0]["test"].pop()))
    checks = found(one)
    assert failed(checks) == {"files", "split"}
    assert "edited after it was written" in checks["split"].detail


def test_unscored_clip_is_found(one: Path, found: Callable[..., dict[str, Check]]) -> None:
    gone = predictions.read_predictions(one / "predictions.parquet")["utterance"][0]
    forge(one, lambda table: table[1:])
    checks = found(one)
    assert failed(checks) == {"split", "fold_0 split", "corpus", "folds"}
    assert gone in checks["split"].detail


def test_removed_stamp_is_found(one: Path, found: Callable[..., dict[str, Check]]) -> None:
    edit(one / "metrics.json", lambda metrics: metrics["run"].update(stamps=[]))
    write_card(RunFolder(one), [LEFT_OUT])
    checks = found(one)
    assert failed(checks) == {"stamps"}
    assert "does not have a stamp that the result must carry: synthetic speech" in checks["stamps"].detail


def test_removed_stamp_of_the_audit_is_found(one: Path, found: Callable[..., dict[str, Check]]) -> None:
    edit(one / "audit.json", lambda findings: findings[0].update(stamp="dev speakers also train"))
    write_card(RunFolder(one), [LEFT_OUT])
    assert failed(found(one)) == {"split", "audit"}


@pytest.mark.parametrize(
    ("fact", "value"),
    [("seed", 1), ("fingerprint", "0" * 16), ("labels", "six"), ("protocol", "loso"), ("splits", {"0": "0"})],
)
def test_facts_about_the_run_are_compared_with_the_corpus(
    one: Path, found: Callable[..., dict[str, Check]], fact: str, value: Any
) -> None:
    edit(one / "metrics.json", lambda metrics: metrics["run"].update({fact: value}))
    write_card(RunFolder(one), [LEFT_OUT])
    assert "corpus" in failed(found(one))


def test_pooled_predictions_are_compared_with_the_folds(run: Path, found: Callable[..., dict[str, Check]]) -> None:
    file = run / "predictions.parquet"
    predictions.write_predictions(predictions.read_predictions(file).iloc[::-1].reset_index(drop=True), file)
    write_card(RunFolder(run), [LEFT_OUT])
    assert failed(found(run)) == {"pooling"}
    shutil.rmtree(run / "fold_2")
    assert "pooling" in failed(found(run))


def test_run_is_checked_without_its_corpus(run: Path, tmp_path: Path) -> None:
    absent = {check.name: check for check in checks_of(run, str(tmp_path / "nowhere"), str(tmp_path / "stores"))}
    statistics = [f"fold_{fold} statistics" for fold in range(3)]
    assert [name for name, check in absent.items() if not check.ok] == [
        "corpus",
        "stamps",
        "audit",
        "folds",
        *statistics,
    ]
    assert all(check.ok is not False for check in absent.values())
    assert absent["corpus"].detail.startswith("not checked: synthetic demo speech is not at")


def test_moved_corpus_is_found(
    run: Path, found: Callable[..., dict[str, Check]], tiny_demo: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_demo, tmp_path / "elsewhere" / "demo")
    assert found(run, corpora=str(tmp_path / "elsewhere"))["corpus"].ok
    next((tmp_path / "elsewhere" / "demo").glob("*ang*")).unlink()
    assert "fingerprint" in found(run, corpora=str(tmp_path / "elsewhere"))["corpus"].detail


def test_absent_files_are_not_checked(one: Path, found: Callable[..., dict[str, Check]]) -> None:
    for name in ("profile.json", "split.json", "audit.json", "dev_predictions.parquet"):
        (one / name).unlink()
    assert failed(found(one)) == {"card", "files"}
    write_card(RunFolder(one), [LEFT_OUT])
    assert {name: check.ok for name, check in found(one).items()} == {
        "card": True,
        "files": True,
        "numbers": True,
        "profile": None,
        "split": None,
        "fold_0 numbers": True,
        "fold_0 split": True,
        "pooling": True,
        "fold_0 selection": True,
        "fold_0 checkpoint": True,
        "corpus": True,
        "stamps": True,
        "audit": None,
        "folds": True,
        "fold_0 statistics": True,
    }


def test_copy_without_weights_and_pictures_holds_as_far_as_it_can_be_checked(
    run: Path, found: Callable[..., dict[str, Check]]
) -> None:
    for file in [file for file in run.rglob("*") if file.suffix in (".ckpt", ".html", ".png")]:
        file.unlink()
    checks = found(run)
    unchecked = {name for name, check in checks.items() if check.ok is None}
    assert unchecked == {
        "files",
        *(f"fold_{fold} {name}" for fold in range(3) for name in ("checkpoint", "statistics")),
    }
    assert failed(checks) == set()
    assert re.search(r"the SHA-256 of \d+ files agree; absent: card\.html and \d+ more", checks["files"].detail)


def test_absent_table_is_found_in_a_copy_without_weights(run: Path, found: Callable[..., dict[str, Check]]) -> None:
    for file in [*run.rglob("*.ckpt"), run / "fold_1" / "dev_predictions.parquet"]:
        file.unlink()
    checks = found(run)
    assert "files" in failed(checks)
    assert checks["files"].detail.endswith("by the SHA-256: fold_1/dev_predictions.parquet (gone).")


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("card.json", {"card", "files"}),
        ("metrics.json", {"card", "files", "numbers", "split", "pooling", "corpus", "stamps"}),
        ("predictions.parquet", {"files", "numbers", "profile", "split", "pooling", "folds"}),
        ("dev_predictions.parquet", {"files", "profile", "split", "pooling"}),
        ("profile.json", {"card", "files", "profile"}),
        ("split.json", {"files", "split"}),
        ("audit.json", {"card", "files", "split", "audit"}),
        ("fold_0/environment.json", {"card", "files"}),
    ],
)
def test_truncated_file_is_reported_in_a_sentence(
    one: Path, found: Callable[..., dict[str, Check]], name: str, checks: set[str]
) -> None:
    file = one / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert failed(found(one)) == checks
    for check in found(one).values():
        assert "Traceback" not in check.detail
        assert check.detail.endswith(".") or check.ok


@pytest.mark.parametrize("name", ["card.json", "metrics.json", "split.json", "audit.json", "profile.json"])
@pytest.mark.parametrize("content", ["{}", "[1]", '{"run": 3, "files": 3, "folds": [3]}', "null"])
def test_file_of_another_form_is_found(
    one: Path, found: Callable[..., dict[str, Check]], name: str, content: str
) -> None:
    (one / name).write_text(content)
    assert failed(found(one))


def test_deleted_card_is_found(one: Path, found: Callable[..., dict[str, Check]]) -> None:
    (one / "card.json").unlink()
    assert failed(found(one)) == {"card", "files"}


def test_other_class_than_a_protocol_is_not_called(
    one: Path, found: Callable[..., dict[str, Check]], tmp_path: Path
) -> None:
    called = tmp_path / "called"
    config = one / "config.yaml"
    text = config.read_text().replace("ser.protocols.speaker_cv.SpeakerCV", "subprocess.Popen")
    text = re.sub(r"folds: 3\n  seed: 0", f"args: [touch, {called}]", text)
    config.write_text(text)
    checks = found(one)
    assert "subprocess.Popen is not a Protocol" in checks["corpus"].detail
    assert not called.exists()


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


def test_command_prints_checks_and_exits_with_the_result(
    one: Path, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert command(monkeypatch, one, "--stores", stores) == 3
    shown = capsys.readouterr().out
    assert shown.count("holds") == 16
    assert f"{one}: holds, but not all was checked: predictions" in shown
    assert command(monkeypatch, one / "card.json", "--corpora", tmp_path / "no", "--stores", stores) == 3
    assert "not checked: synthetic demo speech is not at" in capsys.readouterr().out
    (one / "fold_0" / "metrics.csv").write_text("epoch\n")
    assert command(monkeypatch, one, "--stores", stores) == 1
    assert "fold_0/metrics.csv (new)" in capsys.readouterr().out


def test_folder_of_runs_has_a_verdict_for_each(
    one: Path, stores: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    below = one.parent / "results" / "demo"
    below.mkdir(parents=True)
    other = Path(shutil.copytree(one, below / "other"))
    (below / "unfinished").mkdir()
    (below / "unfinished" / "config.yaml").write_text("seed: 0")
    (other / "fold_0" / "metrics.csv").write_text("epoch\n")
    assert command(monkeypatch, one, one.parent / "results", "--stores", stores) == 1
    shown = capsys.readouterr().out
    assert f"{one}: holds, but not all was checked: predictions" in shown
    assert f"{other}: does not hold: files" in shown
    assert f"{below / 'unfinished'}: Nothing can be recomputed" in shown
    shutil.rmtree(other)
    assert command(monkeypatch, one, one.parent / "results", "--stores", stores) == 2


@pytest.mark.parametrize("left", [["card.json"], [], ["card.json", "metrics.json", "split.json"]])
def test_nothing_to_check_exits_2(
    one: Path, left: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "left"
    folder.mkdir()
    for name in left:
        shutil.copy(one / name, folder / name)
    for target in [folder, *(folder / name for name in left[:1]), folder / "absent"]:
        with pytest.raises(UncheckedError, match=r"no predictions\.parquet"):
            checks_of(target)
        assert command(monkeypatch, target) == 2
        assert capsys.readouterr().err.strip().startswith("Nothing can be recomputed")


@pytest.mark.slow
def test_verification_does_not_import_torch(run: Path, stores: Path) -> None:
    code = "import sys; from ser.runs.verification import verify; from pathlib import Path; "
    for fold in RunFolder(run).folds:
        (fold.path / "checkpoints" / "best.ckpt").unlink()  # only reading a model needs torch
    write_card(RunFolder(run), [LEFT_OUT])
    code += f"checks = verify(Path({str(run)!r}), stores={str(stores)!r}); "
    code += "print(all(c.ok is not False for c in checks), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "False"], done.stderr

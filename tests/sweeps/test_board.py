"""What a sweep shows: how many are done, what runs and how far it is, what failed, the best on dev, the time left."""

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from ser.sweeps.board import Board, epoch_of, watched, where_time_went
from ser.sweeps.job import Record
from tests.sweeps.conftest import record


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    names = [f"demo-cnn-loso-seed{seed}-00" for seed in range(4)] + ["demo-bilstm-loso-seed0-00"]
    return [tmp_path / name for name in names]


def put(folder: Path, state: str, began: float, ended: float | None = None, **more: object) -> None:
    """A record, at times counted from now."""
    attempt = {"began": time.time() + began, "host": "here", "pid": 1}
    if ended is not None:
        attempt["ended"] = time.time() + ended
    if "reason" in more:
        attempt["reason"] = more.pop("reason")
    record(folder, state=state, attempts=[attempt], **more)


def text(board: Board) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(board.render())
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_board_shows_counts_the_best_on_dev_and_the_time_left(folders: list[Path]) -> None:
    put(folders[0], "done", -900, -800, dev_uar=0.9, uar=0.1)
    board = Board(folders, before=[folders[0]])
    board.began -= 100
    assert board.headline() == f"1 of 5 done; best on dev {folders[0].name} 90.0 %"
    put(folders[1], "done", -90, -60, dev_uar=0.3, uar=0.99)
    put(folders[2], "running", -10)
    put(folders[4], "failed", -55, -50, reason="Memory ran out.\nMore of it.")
    assert board.look() == [folders[1], folders[4]]
    assert board.look() == []
    said = board.headline()
    assert said.startswith(f"2 of 5 done, 1 running, 1 failed; best on dev {folders[0].name} 90.0 %; about ")
    assert board.seconds_left() == pytest.approx(30 + 20, abs=1), "one to come, and what is left of the one that runs"
    shown = text(board)
    assert f"running  {folders[2].name}" in shown
    assert "Memory ran out." in shown
    assert "More of it" not in shown
    assert folders[3].name not in shown, "what waits is only counted"


def test_jobs_that_predict_numbers_are_told_apart_by_ccc(folders: list[Path]) -> None:
    put(folders[0], "done", -900, -800, dev_ccc=-0.2, ccc=0.5)
    put(folders[1], "done", -900, -800, dev_ccc=0.123, ccc=-0.1)
    board = Board(folders, before=folders[:2])
    assert board.headline() == f"2 of 5 done; best on dev {folders[1].name} 0.123"
    put(folders[2], "done", -1, 0, dev_ccc=-0.2, ccc=0.5)
    assert board.look() == [folders[2]]
    assert "dev CCC \N{MINUS SIGN}0.200" in board.line(folders[2])


def test_board_ignores_jobs_of_an_earlier_command(folders: list[Path]) -> None:
    put(folders[0], "failed", -900, -800, reason="of yesterday")
    put(folders[1], "running", -900)
    board = Board(folders)
    assert board.look() == []
    assert board.headline() == "0 of 5 done"


def test_jobs_side_by_side_share_the_time_left(folders: list[Path]) -> None:
    board = Board(folders)
    board.began -= 100
    put(folders[0], "done", -90, -50, dev_uar=0.5)
    put(folders[1], "running", 0)
    put(folders[2], "running", 0)
    board.look()
    assert board.seconds_left() == pytest.approx(4 * 40 / 2, abs=2)


def test_how_far_a_training_is(tmp_path: Path) -> None:
    assert epoch_of(tmp_path) == ""
    (tmp_path / "fold_1").mkdir()
    (tmp_path / "fold_1" / "metrics.csv").write_text(
        "epoch,train_loss,dev_loss,dev_uar,lr\n0,1,1,0.2,1\n1,1,1,0.25,1\n"
    )
    assert epoch_of(tmp_path) == "fold_1: epoch 2, dev UAR 25.0 %"


def test_a_log_has_a_line_a_job(folders: list[Path]) -> None:
    console = Console(file=io.StringIO(), width=60)
    board = Board(folders[:2])
    with watched(board, console):
        put(folders[0], "done", 0.001, 75, dev_uar=0.5)
        put(folders[1], "failed", 0.001, 1, reason="why")
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].startswith(f"[1/2] done    {folders[0].name}  dev UAR 50.0 %, 1 min 15 s")
    assert lines[1] == f"[2/2] failed  {folders[1].name}: why"


def test_a_terminal_has_one_live_table(folders: list[Path]) -> None:
    console = Console(file=io.StringIO(), width=160, force_terminal=True)
    with watched(Board(folders), console):
        put(folders[0], "running", 0.001)
        time.sleep(1.2)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0 of 5 done" in shown
    assert folders[0].name in shown
    assert json.loads((folders[0] / "job.json").read_text())["state"] == "running"


def test_where_the_time_went() -> None:
    attempts = [{"began": 0.0, "ended": 10.0, "seconds": {"start": 1.0, "training": 8.0}}]
    longer = [
        {"began": 0.0, "ended": 99.0},
        {"began": 100.0, "ended": 120.0, "seconds": {"start": 2.0, "training": 17.5}},
    ]
    console = Console(file=io.StringIO(), width=80)
    console.print(where_time_went([Record(attempts=tuple(each)) for each in (attempts, longer)]))  # type: ignore[arg-type]
    rows = [line.split() for line in console.file.getvalue().splitlines() if "%" in line]  # type: ignore[attr-defined]
    assert rows == [
        ["start", "10", "%", "3.0", "1.50"],
        ["training", "85", "%", "25.5", "12.75"],
        ["other", "5", "%", "1.5", "0.75"],
    ]
    assert where_time_went([Record(attempts=({"began": 0.0, "ended": 1.0},))]) is None

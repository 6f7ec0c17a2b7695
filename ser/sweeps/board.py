"""What a sweep shows while it runs: a live table on a terminal; in a log, a line for each job that ends."""

import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ser.evaluation.measure import measure_in
from ser.report.format import duration, writer
from ser.report.tables import simple_table
from ser.runtime.words import counted
from ser.sweeps.job import Record, read_record

SHOWN_FAILED = 8
"""How many of the failed jobs the live table names."""
POLL_SECONDS = 1.0
ENDED = ("done", "failed", "pruned")


class Board:
    """The jobs of a sweep, as their folders show them."""

    def __init__(self, folders: Sequence[Path], before: Sequence[Path] = ()) -> None:
        self.folders = list(folders)
        self.ended = list(before)
        self.began = time.time()
        self.jobs = {folder: read_record(folder) for folder in folders}

    def look(self) -> list[Path]:
        """Read what has changed, and return the jobs that have ended since the last look."""
        fresh = []
        for folder in self.folders:
            if folder in self.ended:
                continue
            self.jobs[folder] = job = read_record(folder)
            if job.state in ENDED and job.attempts and job.attempts[-1].get("ended", 0) >= self.began:
                self.ended.append(folder)
                fresh.append(folder)
        return fresh

    def state(self, folder: Path) -> str:
        """Return the state of a job within this command: what an earlier one left undone is ``waiting``."""
        job = self.jobs[folder]
        if folder in self.ended:
            return job.state
        return "running" if self._is_new(folder) and job.state == "running" else "waiting"

    def counts(self) -> Counter[str]:
        """Count the jobs in each state."""
        return Counter(self.state(folder) for folder in self.folders)

    def best(self) -> Path | None:
        """Return the finished job with the highest score on dev speakers: test speakers choose nothing."""
        done = [folder for folder in self.folders if self.state(folder) == "done"]
        return max(done, key=lambda folder: self.jobs[folder].dev_score or 0.0, default=None)

    def seconds_left(self) -> float | None:
        """Estimate the time left: for each remaining job the time of one like it, divided by the jobs that run at once."""
        counts = self.counts()
        taken = {f: self.jobs[f].seconds for f in self.ended if self.jobs[f].state == "done" and self._is_new(f)}
        if not taken or not (counts["waiting"] or counts["running"]):
            return None
        left = 0.0
        for folder in self.folders:
            if (state := self.state(folder)) in ("waiting", "running"):
                alike = [s for other, s in taken.items() if _kind(other) == _kind(folder)] or list(taken.values())
                spent = time.time() - self.jobs[folder].attempts[-1]["began"] if state == "running" else 0.0
                left += max(0.0, statistics.median(alike) - spent)
        return left / max(1, counts["running"])

    def headline(self) -> str:
        """Return ``12 of 54 done, 2 running, 1 failed; best on dev ravdess-cnn-luna5-... 61.2 %; about 12 min left``."""
        counts = self.counts()
        parts = [f"{counts['done']} of {len(self.folders)} done"]
        parts += [f"{counts[state]} {state}" for state in ("running", "failed", "pruned") if counts[state]]
        text = ", ".join(parts)
        if (best := self.best()) is not None:
            job = self.jobs[best]
            text += f"; best on dev {best.name} {writer(job.measure)(job.dev_score)}"
        if (left := self.seconds_left()) is not None:
            text += f"; about {duration(left)} left"
        return text

    def render(self) -> RenderableType:
        """Draw the live table."""
        self.look()
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for folder in self.folders:
            if self.state(folder) == "running":
                job = self.jobs[folder]
                spent = duration(time.time() - job.attempts[-1]["began"])
                table.add_row(Text("running", style="cyan"), folder.name, epoch_of(folder), spent)
        failed = [folder for folder in self.folders if self.state(folder) == "failed"]
        for folder in failed[-SHOWN_FAILED:]:
            table.add_row(Text("failed", style="bold red"), folder.name, first_line(self.jobs[folder].reason), "")
        return Group(Text(self.headline(), style="bold"), table)

    def line(self, folder: Path) -> str:
        """Describe a job that ended, for a log."""
        job = self.jobs[folder]
        at = f"[{self.ended.index(folder) + 1}/{len(self.folders)}]"
        if job.state != "done":
            return f"{at} {job.state:7} {folder.name}: {first_line(job.reason)}"
        left = self.seconds_left()
        tail = f"; about {duration(left)} left" if left is not None else ""
        return f"{at} done    {folder.name}  {job.dev_text}, {duration(job.seconds)}{tail}"

    def _is_new(self, folder: Path) -> bool:
        return bool(self.jobs[folder].attempts) and self.jobs[folder].attempts[-1]["began"] >= self.began


@contextmanager
def watched(board: Board, console: Console) -> Iterator[None]:
    """Show a board while the block runs: live on a terminal, line by line elsewhere."""
    if console.is_terminal:
        with Live(console=console, get_renderable=board.render, refresh_per_second=2, transient=True):
            yield
        return
    stop = Event()

    def tell() -> None:
        over = False
        while not over:
            over = stop.wait(POLL_SECONDS)  # one more look when all is over
            for folder in board.look():
                console.print(board.line(folder), highlight=False, markup=False, soft_wrap=True)

    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        stop.set()
        teller.join()


def epoch_of(folder: Path) -> str:
    """Return how far a training is, from the histories of its folds: ``fold_2: epoch 13, dev UAR 51.2 %``."""
    files = sorted([*folder.glob("metrics.csv"), *folder.glob("fold_*/metrics.csv")], key=lambda f: f.stat().st_mtime)
    if not files:
        return ""
    names, *_, last = files[-1].read_text().splitlines()
    row = dict(zip(names.split(","), last.split(","), strict=True))
    where = f"{files[-1].parent.name}: " if files[-1].parent != folder else ""
    measure = measure_in(row)
    score = writer(measure)(float(row[measure.dev]))
    return f"{where}epoch {int(row['epoch']) + 1}, dev {measure.name} {score}"


def where_time_went(records: Sequence[Record]) -> Table | None:
    """Sum the seconds of finished jobs by phase; ``other`` is what no phase counts, such as opening the job's files."""
    last = [record.attempts[-1] for record in records if record.attempts[-1].get("seconds")]
    if not last:
        return None
    phases = pd.DataFrame([attempt["seconds"] for attempt in last]).fillna(0.0)
    whole = pd.Series([attempt["ended"] - attempt["began"] for attempt in last])
    phases["other"] = whole - phases.sum(axis=1)
    title = f"Where the time of {counted(len(last), 'job')} went"
    table = simple_table(title, "", "share", "seconds", "median seconds of a job")
    for name, spent in phases.items():
        share = 100 * spent.sum() / whole.sum()
        table.add_row(str(name), f"{share:.0f} %", f"{spent.sum():.1f}", f"{spent.median():.2f}")
    return table


def first_line(text: str | None) -> str:
    """Return the first line of a reason."""
    return (text or "").strip().partition("\n")[0]


def _kind(folder: Path) -> str:
    """Return what jobs of about the same duration share: their name without seed and hash."""
    return folder.name.rpartition("-seed")[0]

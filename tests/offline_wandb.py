"""What W&B wrote to disk offline, read back: protocol buffers in LevelDB's log format behind a header of 7 bytes.

Source: https://github.com/google/leveldb/blob/main/doc/log_format.md
"""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Offline:
    """One run's file.

    Attributes:
        run: What is said of the run itself, as last said.
        config: Settings.
        rows: What was logged together, in order.
        summary: Numbers that stand for the run.
        axes: What a name is drawn over.
        artifacts: The types of what was kept.
        exit_code: ``None`` if the run was not ended.
    """

    def __init__(self, file: Path) -> None:
        self.folder = file.parent
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.axes: dict[str, str] = {}
        self.artifacts: list[str] = []
        self.exit_code: int | None = None
        for record in records(file):
            self._take(record)

    def _take(self, record: Any) -> None:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            self.run = record.run
            self.config |= values(record.run.config.update)
        elif kind == "config":
            self.config |= values(record.config.update)
        elif kind == "summary":
            self.summary |= values(record.summary.update)
        elif kind == "history":
            self.rows.append({k: v for k, v in values(record.history.item).items() if not k.startswith("_")})
        elif kind == "metric":
            self.axes[record.metric.name] = record.metric.step_metric
        elif kind == "artifact":
            self.artifacts.append(record.artifact.type)
        elif kind == "exit":
            self.exit_code = record.exit.exit_code

    def column(self, name: str) -> list[Any]:
        """The values of a name, in the order they were logged."""
        return [row[name] for row in self.rows if name in row]


def offline(folder: Path, seconds: float = 30.0) -> Offline:
    """The only offline run right below a folder's ``wandb``; W&B's own process may write its end a little later."""
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    last = time.monotonic() + seconds
    while (run := Offline(file)).exit_code is None and time.monotonic() < last:
        time.sleep(0.1)
    return run


def values(items: Any) -> dict[str, Any]:
    """Keys and values; a nested key is joined by strokes."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def records(file: Path) -> Iterator[Any]:
    """The records of a ``.wandb`` file."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = file.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 < len(data):
        if 32768 - at % 32768 < 7:  # no room for a header: the rest of the block is padding
            at += 32768 - at % 32768
        _, length, kind = struct.unpack_from("<IHB", data, at)
        if at + 7 + length > len(data):  # W&B's own process is still writing it
            return
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record

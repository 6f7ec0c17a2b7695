"""Who speaks when: turns of speakers from an RTTM file, or from a CSV with the columns ``start`` and ``end``.

Source: Rich Transcription Time Marked files, as NIST's evaluation plan of RT-06S defines them.
"""

from pathlib import Path

import pandas as pd

from ser.errors import ConfigError

SLACK_S = 0.05
"""Seconds that a turn may end after its recording, as diarisation works in frames."""


def read_turns(path: Path, recording: str, seconds: float) -> pd.DataFrame:
    """Return the turns of a recording: ``start`` and ``end`` in seconds, and ``speaker`` where it is stated.

    Args:
        path: An RTTM file (``.rttm``), or a CSV.
        recording: Its path; of an RTTM file of several recordings, the turns of this one's name are taken.
        seconds: Length of the recording.

    Raises:
        ConfigError: If the file cannot be used, has no turns of the recording, or a turn is not within it.
    """
    try:
        table = _rttm(path, Path(recording).stem) if path.suffix.lower() == ".rttm" else _csv(path)
        table[["start", "end"]] = table[["start", "end"]].astype(float)
    except (OSError, ValueError, KeyError, IndexError) as error:  # ValueError: pandas and UnicodeDecodeError, too
        raise ConfigError(
            f"turns must be an RTTM file, or a CSV with the columns start and end in seconds; got {path}: {error}."
        ) from error
    if table.empty:
        raise ConfigError(f"turns must be of {recording}; {path} has none of it.")
    bad = table[~((table["start"] >= 0) & (table["end"] > table["start"]) & (table["end"] <= seconds + SLACK_S))]
    if len(bad):
        start, end = bad[["start", "end"]].iloc[0]
        raise ConfigError(
            f"Turns must be within the {seconds:.2f} s of {recording}; {path} has one of {start:g} to {end:g} s."
        )
    return table.assign(end=table["end"].clip(upper=seconds)).sort_values(["start", "end"], ignore_index=True)


def _rttm(path: Path, stem: str) -> pd.DataFrame:
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    turns = [line for line in lines if line and line[0] == "SPEAKER"]
    files = {line[1] for line in turns}
    chosen = [line for line in turns if len(files) == 1 or line[1] == stem]
    rows = [(float(line[3]), float(line[3]) + float(line[4]), line[7]) for line in chosen]
    return pd.DataFrame(rows, columns=["start", "end", "speaker"])


def _csv(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype={"speaker": str})
    if "speaker" not in table:
        return table[["start", "end"]]
    return table[["start", "end", "speaker"]].fillna({"speaker": ""})

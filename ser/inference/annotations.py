"""Files of labels over time that other programs open: Praat's TextGrid, SubRip subtitles, and audformat.

Sources: https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html;
https://audeering.github.io/audformat/data-format.html.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ser.inference.columns import class_columns
from ser.runtime.files import replacing, write_text
from ser.runtime.packages import packages_named

TIER = "emotion"
TABLE = "segments"


def write_textgrid(texts: pd.DataFrame, seconds: float, path: Path) -> None:
    """Write intervals as a TextGrid, a tier for every speaker; where nothing is said of a time, an interval is empty.

    Args:
        texts: ``start``, ``end``, ``speaker`` and ``text``, in the order of time. Of two intervals of a speaker that
            overlap, the second begins where the first ends.
        seconds: Length of the recording.
        path: Path of the file.
    """
    tiers = [(str(speaker) or TIER, rows) for speaker, rows in texts.groupby("speaker", sort=True)] or [(TIER, texts)]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", *_times(0, seconds), "tiers? <exists>"]
    lines += [f"size = {len(tiers)}", "item []:"]
    for number, (name, rows) in enumerate(tiers, start=1):
        intervals = list(_without_gaps(rows, seconds))
        lines += [f"item [{number}]:", 'class = "IntervalTier"', f"name = {_quoted(name)}", *_times(0, seconds)]
        lines += [f"intervals: size = {len(intervals)}"]
        for at, (start, end, text) in enumerate(intervals, start=1):
            lines += [f"intervals [{at}]:", *_times(start, end), f"text = {_quoted(text)}"]
    write_text("\n".join(lines) + "\n", path)


def write_srt(texts: pd.DataFrame, path: Path) -> None:
    """Write intervals as subtitles; ``texts`` is that of `write_textgrid`."""
    blocks = []
    for number, (start, end, speaker, text) in enumerate(_rows(texts), start=1):
        said = f"{speaker}: {text}" if speaker else text
        blocks.append(f"{number}\n{srt_time(start)} --> {srt_time(end)}\n{said}\n")
    write_text("\n".join(blocks), path)


def srt_time(seconds: float) -> str:
    """Return a time as subtitles have it.

    Example:
        >>> srt_time(3723.0456)
        '01:02:03,046'
    """
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"


@packages_named()
def write_audformat(
    table: pd.DataFrame, classes: Sequence[str], recording: Path, stamps: Sequence[str], folder: Path
) -> None:
    """Write segments as a database of audformat: a header, and a table.

    Args:
        table: ``start`` and ``end`` in seconds, ``speaker`` and ``label`` where they are known, and numbers.
        classes: Names of the numbers; see `ser.inference.columns`.
        recording: Path of the recording.
        stamps: What every result of the model must carry; the description of the database.
        folder: Folder of the database.
    """
    import yaml

    columns = {name: TIER for name in ("label",) if name in table} | {c: "speaker" for c in ("speaker",) if c in table}
    header = {
        "name": recording.stem,
        "description": "; ".join(["predictions", *stamps]),
        "source": "ser",
        "usage": "unrestricted",
        "languages": [],
        "schemes": {
            TIER: {"dtype": "str", "labels": list(classes)},
            "speaker": {"dtype": "str"},
            "prediction": {"dtype": "float"},
        },
        "tables": {
            TABLE: {
                "type": "segmented",
                "columns": {
                    **{_column(name): {"scheme_id": scheme} for name, scheme in columns.items()},
                    **{name: {"scheme_id": "prediction"} for name in class_columns(classes)},
                },
            }
        },
    }
    times = {name: pd.to_timedelta(table[name], unit="s").astype(str) for name in ("start", "end")}
    written = pd.DataFrame({"file": str(recording), **times})
    written = pd.concat([written, table[[*columns, *class_columns(classes)]].rename(columns=_column)], axis=1)
    with replacing(folder / f"db.{TABLE}.csv") as unfinished:
        written.to_csv(unfinished, index=False)
    write_text(yaml.safe_dump(header, sort_keys=False, allow_unicode=True), folder / "db.yaml")


def _column(name: str) -> str:
    return TIER if name == "label" else name


def _rows(texts: pd.DataFrame) -> Iterator[tuple[float, float, str, str]]:
    columns = (texts[name].tolist() for name in ("start", "end", "speaker", "text"))
    return zip(*columns, strict=True)


def _without_gaps(texts: pd.DataFrame, seconds: float) -> Iterator[tuple[float, float, str]]:
    """Yield intervals that follow each other from 0 to the end, as a tier must have them."""
    at = 0.0
    for start, end, _, text in _rows(texts):
        if start > at:
            yield at, start, ""
        if end > (start := max(start, at)):
            yield start, end, text
            at = end
    if at < seconds:
        yield at, seconds, ""


def _times(start: float, end: float) -> list[str]:
    return [f"xmin = {start:.9g}", f"xmax = {end:.9g}"]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'

"""`Shown`: predictions as a notebook displays them, with bars of the probabilities and a player for each recording."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import AudioError, ConfigError
from ser.inference.columns import class_columns
from ser.inference.predict import predict_sources
from ser.inference.recordings import Source, opened_source, sources
from ser.inference.scorer import Scorer
from ser.inference.windows import LONG_S, piece_of
from ser.protocols.limits import NOT_FOR
from ser.runtime.packages import packages_named

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = Path(__file__).with_name("shown.html.j2")
ROWS = 20
BYTES = 6_000_000
"""Bytes of all players together: a notebook with more is slow to open, and some programs refuse to show it."""
BAR, BEST = "#0173b2", "#de8f05"
"""Colours that colour-blind readers can tell apart."""


@dataclass(frozen=True)
class Shown:
    """Predictions that a notebook displays as a page.

    Attributes:
        table: What `ser.inference.predictor.Predictor.predict` returns.
        html: The page: it has no scripts, and needs nothing beside it.
    """

    table: "pd.DataFrame"
    html: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return repr(self.table)


@packages_named()
def show(scorer: Scorer, audio: Any, rate: float | None = None, rows: int = ROWS) -> Shown:
    """Show predictions; see `ser.inference.predictor.Predictor.show`."""
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise ConfigError(f"rows must be an integer of 1 or more; got {rows!r}.")
    found = sources(audio, rate)
    table = predict_sources(scorer, found, on_error="row")
    from jinja2 import Environment, StrictUndefined  # late: only this needs it

    left = BYTES
    players: list[dict[str, str]] = []
    for source in found[:rows]:
        content, why = _flac(source, scorer, left)
        left -= len(content)
        players.append({"sound": _data_uri(content) if content else "", "why": why})
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    values = {
        "rows": [_row(row, scorer) | player for row, player in zip(table.to_dict("records"), players, strict=False)],
        "more": len(table) - len(players),
        "stamps": scorer.stamps,
        "not_for": NOT_FOR,
        "bar": BAR,
        "best": BEST,
    }
    return Shown(table, environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(values))


def _row(row: dict[Any, Any], scorer: Scorer) -> dict[str, Any]:
    """Return what is shown of a recording beside its player."""
    columns = class_columns(scorer.classes)
    values = [(name, float(row[column])) for name, column in zip(scorer.classes, columns, strict=True)]
    return {
        "name": row["audio"],
        "label": row.get("label"),
        "values": [] if row["error"] else values,
        "numeric": scorer.numeric,
        "flags": row["flags"],
        "error": row["error"] and str(row["error"]).removeprefix(f"{row['audio']}: "),
    }


def _flac(source: Source, scorer: Scorer, most: int) -> tuple[bytes, str]:
    """Return a recording as the model hears it, as FLAC; or nothing, and why there is nothing to play."""
    import soundfile

    try:
        with opened_source(source) as recording:
            if (seconds := recording.frames / recording.rate) > LONG_S:
                return b"", f"{seconds:.0f} s; up to {LONG_S:.0f} s can be played here"
            samples = piece_of(recording, recording.whole(), scorer.audio).samples
    except AudioError:
        return b"", ""  # the table says why
    file = io.BytesIO()
    soundfile.write(file, samples, scorer.audio.sample_rate, format="FLAC", subtype="PCM_16")
    content = file.getvalue()
    return (content, "") if len(content) <= most else (b"", "no player: the others fill the page")


def _data_uri(content: bytes) -> str:
    from base64 import b64encode

    return f"data:audio/flac;base64,{b64encode(content).decode()}"

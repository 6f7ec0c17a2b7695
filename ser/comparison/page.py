"""A comparison as one HTML page that needs nothing beside it: styles are inline, pictures embedded, and no script runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser.comparison.cells import (
    chance_of,
    columns,
    guess_cells,
    main_score,
    matrix_reading,
    more_on_tests,
    pair_columns,
    reading,
    what_is_tested,
)
from ser.comparison.plots import SHOWN
from ser.comparison.rows import Comparison
from ser.evaluation.comparison import SIGNIFICANT
from ser.protocols.stamps import meaning
from ser.report.html import data_uri, rendered
from ser.runtime.files import write_text

TEMPLATE = Path(__file__).with_name("comparison.html.j2")


def write_page(comparison: Comparison, pictures: Sequence[Mapping[str, Path]], path: Path) -> None:
    """Write the page, whole or not at all, with the pictures of each section (`ser.comparison.plots.draw_section`)."""
    drawn = [{name: data_uri(picture) for name, picture in its.items()} for its in pictures]
    values: dict[str, Any] = {"comparison": comparison, "sections": list(zip(comparison.sections, drawn, strict=True))}
    values |= {"columns": columns, "score": main_score, "pair_columns": pair_columns, "reading": reading}
    values |= {
        "matrix_reading": matrix_reading,
        "chance_of": chance_of,
        "guess_cells": guess_cells,
        "more_on_tests": more_on_tests,
    }
    values |= {"meaning": meaning, "what_is_tested": what_is_tested, "shown": SHOWN, "significant": SIGNIFICANT}
    write_text(rendered(TEMPLATE, values), path)

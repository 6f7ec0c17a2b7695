"""A comparison as one HTML page that needs nothing beside it: styles are inline, pictures embedded, and no script runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ser.comparison.plots import SHOWN
from ser.comparison.rows import COLUMNS, PAIR_COLUMNS, READING, UAR, Comparison, what_is_tested
from ser.evaluation.comparison import SIGNIFICANT
from ser.protocols.stamps import meaning
from ser.report.html import data_uri, template_environment
from ser.runtime.files import write_text

TEMPLATE = "comparison.html.j2"


def write_page(comparison: Comparison, pictures: Sequence[Mapping[str, Path]], path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        comparison: What is compared.
        pictures: Of each section, files by what they show; see `ser.comparison.plots.draw_section`.
        path: Where to write.
    """
    drawn = [{name: data_uri(picture) for name, picture in its.items()} for its in pictures]
    page = template_environment(Path(__file__).parent).get_template(TEMPLATE)
    text = page.render(
        comparison=comparison,
        sections=list(zip(comparison.sections, drawn, strict=True)),
        columns=COLUMNS,
        score=COLUMNS[UAR],
        pair_columns=PAIR_COLUMNS,
        reading=READING,
        meaning=meaning,
        what_is_tested=what_is_tested,
        shown=SHOWN,
        significant=SIGNIFICANT,
    )
    write_text(text, path)

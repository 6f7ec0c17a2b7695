"""docs/features.md lists every feature of ``conf/features/`` with its number of rows."""

import re
from pathlib import Path

import pytest
from torch import nn

from ser.runtime.instantiate import instantiate
from tests.composed import composed
from tests.test_configs import options

PAGE = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE.partition("## Frames")[0], flags=re.MULTILINE))
OF_OTHERS = {"own", "stack", "functionals", "encoder"}


def test_page_lists_every_feature() -> None:
    assert set(ROWS) == set(options("features")) - OF_OTHERS
    assert all(f"`{name}`" in PAGE for name in OF_OTHERS - {"own"})


@pytest.mark.parametrize("name", sorted(ROWS))
def test_page_has_the_number_of_rows(name: str) -> None:
    assert int(ROWS[name]) == instantiate(composed(f"features={name}")["features"], nn.Module).n_features

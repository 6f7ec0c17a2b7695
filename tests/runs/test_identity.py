"""Runs that differ in the order of their augmentations are others; those in the usual order keep their identity."""

import json
from pathlib import Path

import pytest

from ser.comparison.systems import names
from ser.runs.folder import RunFolder, write_config
from ser.runs.identity import USUAL_ORDER, differing, identity
from tests.composed import composed


def test_order_of_augmentations_counts(tmp_path: Path) -> None:
    usual, other = (composed(f"augment=[{order}]") for order in ("warp,mixup", "mixup,warp"))
    assert identity(usual) != identity(other)
    assert differing(usual, other) == ["augment_order is absent there and mixup+warp here"]
    assert len(set(names([usual, other]))) == 2
    write_config(tmp_path, other)  # a stored run keeps its order
    assert identity(RunFolder(tmp_path).config) == identity(other)


@pytest.mark.parametrize("overrides", [[], ["augment=[warp,mixup]"], ["augment=[gain]"], ["augment=[]"]])
def test_usual_order_leaves_the_identity_as_it_was(overrides: list[str]) -> None:
    config = composed(*overrides)
    assert "augment_order" not in json.loads(identity(config))


def test_usual_order_is_that_of_the_default_configuration() -> None:
    assert tuple(composed()["augment"]) == USUAL_ORDER


def test_order_of_cleaning_does_not_count() -> None:
    one, two = (composed(f"cleaning=[{order}]") for order in ("trim,loudness", "loudness,trim"))
    assert identity(one) == identity(two)

"""Any path is a value of the settings that hold paths, as it is typed on the command line."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from ser.runtime.composition import understood
from tests.fuzz import cases

ODD = "~ =,[](){}#'\"\\$%&;:!?*<>|+-@`\t1.eünï日本é"


@given(st.text(st.sampled_from(ODD), min_size=1, max_size=12) | st.text(min_size=1))
@example("~/a b.csv")
@example("a=b,c [1] (2) #3 'x' \"y\".wav")
@example("ünï日本.csv")
@example("1e3")
@example(" true ")
@example("a\\")
@cases(1500)
@pytest.mark.slow
def test_any_path_is_read_as_it_is_typed(path: str) -> None:
    (argument,) = understood([f"data.file={path}"], "train")
    value = OverridesParser.create().parse_override(argument).value()
    quoted, listed = path[:1] in ("'", '"'), path.strip().startswith("[")
    if not (quoted or listed or path.strip().lower() == "null"):  # these are Hydra's, where they are well formed
        assert value == path
    else:
        assert value is None or isinstance(value, list | str)


def test_a_path_with_a_comma_is_one_path_but_in_a_sweep() -> None:
    assert understood(["paths.runs=a,b"], "train") == ["paths.runs='a,b'"]
    assert understood(["-m", "paths.runs=a,b"], "train") == ["-m", "paths.runs=a,b"]
    assert understood(["-m", "paths.runs='a,b'"], "train") == ["-m", "paths.runs='a,b'"]

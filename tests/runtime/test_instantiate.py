"""Objects out of mappings: only classes of the kind asked for, and errors that say what a class takes."""

import pytest
from torch import nn

from ser.corpora.corpus import Corpus
from ser.corpora.demo import Demo
from ser.corpora.labels import LabelScheme
from ser.errors import ConfigError
from ser.features.logmel import LogMel
from ser.protocols.split import Protocol
from ser.runtime.instantiate import find_class, instantiate


def test_entries_and_keywords_are_the_arguments() -> None:
    made = instantiate({"_target_": "ser.features.logmel.LogMel", "n_mels": 40}, nn.Module, hop_ms=20.0)
    assert isinstance(made, LogMel)
    assert (made.n_features, made.hop) == (40, 320)


def test_keywords_override_entries() -> None:
    assert (
        instantiate({"_target_": "ser.corpora.labels.LabelScheme", "name": "native"}, LabelScheme, name="mine").name
        == "mine"
    )


@pytest.mark.parametrize(
    "target",
    [
        "",
        ".",
        "..",
        ".a.B",
        "Demo",
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "os.path",
        "ser.corpora.labels.LabelScheme",
    ],
)
def test_invalid_target_is_an_error(target: str) -> None:
    with pytest.raises(ConfigError, match="_target_"):
        instantiate({"_target_": target}, Corpus)
    with pytest.raises(ConfigError, match="_target_"):
        instantiate({}, Corpus)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("ser.corpora.nowhere.Nowhere", "there is no module ser.corpora.nowhere"),
        ("nowhere.Corpus", "needs the package nowhere, which is not installed. Run pip install nowhere"),
        ("ser.corpora.demo.Demonstration", "the module ser.corpora.demo has no Demonstration"),
        ("ser.corpora.demo.Demo.parse", "there is no module ser.corpora.demo.Demo"),
    ],
)
def test_missing_module_or_class_is_named(target: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        find_class(target, Corpus)


def test_missing_dependency_of_a_module_is_named(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "needing.py").write_text("import absent_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="needs the package absent_package, which is not installed"):
        find_class("needing.Thing", Corpus)


def test_invalid_arguments_name_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"Demo: got an unexpected keyword argument 'rooot'. It takes: root\."):
        instantiate({"_target_": "ser.corpora.demo.Demo", "rooot": "x"}, Corpus)
    with pytest.raises(ConfigError, match=r"missing a required argument: 'name'"):
        instantiate({"_target_": "ser.corpora.labels.LabelScheme"}, LabelScheme)


def test_protocols_of_typing_are_accepted_as_kinds() -> None:
    assert instantiate({"_target_": "ser.protocols.loso.LeaveOneSpeakerOut"}, Protocol).splits
    assert find_class("ser.corpora.demo.Demo", Corpus) is Demo


def test_class_without_the_interface_is_not_called() -> None:
    with pytest.raises(ConfigError, match=r"subprocess\.Popen is not a Protocol"):
        instantiate({"_target_": "subprocess.Popen", "args": "true"}, Protocol)

"""Every file of ``conf/`` composes, and everything that it names exists and takes what it is given."""

import ast
import functools
import inspect
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import soundfile
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import ser
from ser.audio.decode import AudioSettings
from ser.corpora.labels import Labels
from ser.errors import ConfigError
from ser.protocols.plan import corpora_of
from ser.protocols.split import Protocol
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import find_class, instantiate, settings_from
from ser.runtime.parts import fill_parts
from ser.training import build

CONF = Path(conf_dir())
PACKAGE = Path(ser.__file__).parent
COMMANDS = sorted(f.stem for f in CONF.glob("*.yaml") if f.stem != "command")


def options(group: str, conf: Path = CONF) -> list[str]:
    return sorted(file.stem for file in (conf / group).glob("*.yaml"))


GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())
CHOICES = [(group, option) for group in GROUPS for option in options(group)]
PRETRAINED = [model for model in options("model") if "checkpoint" in (CONF / "model" / f"{model}.yaml").read_text()]
"""Those that are made from a checkpoint; tests/models/test_pretrained.py makes and trains them."""
POLICIES = [name for name in options("augment") if "# Policy" in (CONF / "augment" / f"{name}.yaml").read_text()]
"""Those that are several augmentations with settings of their own."""
CLASSICAL = [model for model in options("model") if "classical" in (CONF / "model" / f"{model}.yaml").read_text()]
"""Those that are fitted once; tests/baselines fits them."""
OPTIONAL = ("cleaning", "data", "logger", "paths", "experiment", "launcher", "hparams_search")
"""Groups that the configuration names, though nothing of it bears their names or nothing is chosen."""
PAIRS = list(
    zip(options("data"), cycle(m for m in options("model") if m not in (*PRETRAINED, *CLASSICAL)), strict=False)
)
"""Each corpus with a model: the models in turn."""


def composed(*overrides: str, config: str = "train", conf: Path = CONF) -> dict[str, Any]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        made = compose(config, list(overrides))
        fill_parts(made)
        plain = OmegaConf.to_container(made, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def targets(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping with ``_target_``, however deep."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


def check(config: dict[str, Any], folder: Path) -> None:
    """Each class takes the keys of its file; and what a training makes of the configuration can be made.

    Raises:
        ConfigError: If not.
    """
    for node in targets(config):
        cls = find_class(node["_target_"], object)
        keys = [key for key in node if key != "_target_"]
        if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(cls).parameters.values()):
            continue  # as XGBoost's classifiers
        if unknown := [key for key in keys if key not in inspect.signature(cls).parameters]:
            raise ConfigError(f"{node['_target_']} takes no {', '.join(unknown)}.")
    corpora_of(config)
    settings_from(AudioSettings, config["audio"], "audio")
    instantiate(config["labels"], Labels)
    instantiate(config["protocol"], Protocol)
    counts = {"angry": 1, "sad": 1}
    stub = SimpleNamespace(
        classes=("angry", "sad"), class_counts=lambda: counts, stamps=(), trained_on=(), scale=lambda: None
    )
    if "encoder" not in config["model"] and "checkpoint" not in config.get("features", {}):
        model = build.build_model(config, stub)  # type: ignore[arg-type]
        if "estimator" not in config["model"]:
            build.build_training(config, model, stub)  # type: ignore[arg-type]
    build.build_trainer(config, folder, [], L.Callback())


@functools.cache
def default_groups() -> set[str]:
    return {*composed(), *OPTIONAL}


def chosen(group: str, option: str) -> str:
    if (group, option) in (("features", "own"), ("model", "pretrained")):
        return "model=pretrained"
    default = "" if group in default_groups() else "+"
    return f"{default}{group}={option}"


def folders_of(names: Iterable[str], folder: Path) -> list[str]:
    """Settings that give augmentations a recording to read."""
    soundfile.write(folder / "click.wav", [1.0, 0.0], 16000)
    return [f"augment.{name}.folder={folder}" for name in names]


@pytest.mark.parametrize(("group", "option"), CHOICES)
def test_each_option_composes_and_can_be_made(group: str, option: str, tmp_path: Path) -> None:
    needs = {"model=pretrained": ["model.encoder.checkpoint=x"], "trainer=fsdp": ["callbacks=[early_stopping]"]}
    needs["features=encoder"] = ["features.checkpoint=x"]
    needs["model=classical"] = ["model.name=dummy", "model.estimator={_target_: sklearn.dummy.DummyClassifier}"]
    needs["labels=dimensions"] = ["labels.targets=[arousal]"]
    needs |= {f"augment={name}": folders_of([name], tmp_path) for name in ("noise_folder", "impulse_responses")}
    more = needs.get(chosen(group, option), [])
    check(composed(chosen(group, option), *more), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "model"), PAIRS)
def test_each_corpus_goes_with_a_model(data: str, model: str, tmp_path: Path) -> None:
    check(composed(f"data={data}", f"model={model}"), tmp_path)


def test_several_corpora_and_every_augmentation_at_once(tmp_path: Path) -> None:
    several = f"data=[{','.join(options('data'))}]"
    names = [name for name in options("augment") if name not in POLICIES]
    folders = folders_of(("noise_folder", "impulse_responses"), tmp_path)
    config = composed(several, f"augment=[{','.join(names)}]", *folders, "protocol=speaker_cv", "labels=four")
    check(config, tmp_path)
    assert sorted(config["data"]["corpora"]) == options("data")
    assert sorted(config["augment"]) == names


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_composes(command: str) -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert OmegaConf.to_yaml(compose(command))


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("model/bilstm.yaml", "BiLSTM", "TriLSTM", "ser.models.bilstm has no TriLSTM"),
        ("model/bilstm.yaml", "ser.models.bilstm", "ser.models.trilstm", "no module ser.models.trilstm"),
        ("model/bilstm.yaml", "layers: 2", "layerz: 2", "takes no layerz"),
        ("normalise/training.yaml", "by: training", "by: trainings", "normalise.by must be"),
        ("model/bilstm.yaml", "_target_: ser.models.bilstm.BiLSTM", "_target_: subprocess.Popen", "Popen"),
        ("augment/warp.yaml", "stretch:", "strech:", "takes no strech"),
        ("features/logmel.yaml", "n_mels:", "mels:", "takes no mels"),
        ("data/tess.yaml", "tess.Tess", "tess.Toronto", "has no Toronto"),
    ],
)
def test_a_wrong_name_in_a_file_is_found(tmp_path: Path, file: str, old: str, new: str, words: str) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    text = (conf / file).read_text()
    assert old in text
    (conf / file).write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=words):
        check(composed("model=bilstm", "data=tess", "augment=[warp]", conf=conf), tmp_path)


def classes_of(module: Path) -> list[ast.ClassDef]:
    return [node for node in ast.parse(module.read_text()).body if isinstance(node, ast.ClassDef)]


def public(module: Path, room: str) -> Iterator[str]:
    """The classes of a module that files of ``conf/`` should name."""
    for cls in classes_of(module):
        methods = {m.name: [a.arg for a in m.args.args] for m in cls.body if isinstance(m, ast.FunctionDef)}
        framed = "Framed" in map(ast.unparse, cls.bases)
        if room == "features" and not framed and methods.get("forward") != ["self", "waveform", "lengths"]:
            continue
        if room == "models" and (cls.name == "SpeechClassifier" or "classify" not in methods):
            continue
        if room == "protocols" and ("splits" not in methods or cls.name == "Protocol"):
            continue
        if room == "corpora" and (cls.name in ("Corpus", "Download") or "parse" not in methods):
            continue
        if room in ("augment", "features") and cls.name in bases_in(module.parent):
            continue
        yield f"ser.{room}.{module.stem}.{cls.name}"


def bases_in(room: Path) -> set[str]:
    """Every class that another class of a room extends."""
    return {ast.unparse(base) for module in room.glob("*.py") for cls in classes_of(module) for base in cls.bases}


@pytest.mark.parametrize("room", ["corpora", "features", "augment", "models", "protocols"])
def test_every_class_to_choose_has_a_file_in_conf(room: str) -> None:
    named = "\n".join(file.read_text() for file in CONF.rglob("*.yaml"))
    parts = [name for module in sorted((PACKAGE / room).glob("*.py")) for name in public(module, room)]
    assert parts, f"none was found in ser/{room}: has the way to tell them changed?"
    assert [name for name in parts if f"_target_: {name}\n" not in named] == []


def test_corpus_modules_are_recognised_by_their_class() -> None:
    for module in (PACKAGE / "corpora").glob("*.py"):
        bases = {ast.unparse(base) for cls in classes_of(module) for base in cls.bases}
        is_corpus = bool({"Corpus", "OwnRecordings"} & bases) and module.stem != "own"  # what those of a user share
        assert any(public(module, "corpora")) == is_corpus, module

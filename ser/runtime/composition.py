"""Compose a configuration of ``conf/`` with Hydra, refuse unknown settings, and turn Hydra's errors into sentences."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import ConfigError
from ser.runtime.conf_dir import conf_dir
from ser.runtime.keys import text_key
from ser.runtime.parts import composing, fill_parts

if TYPE_CHECKING:
    from omegaconf import DictConfig

ALIASES = {
    "batch": "batch_size",
    "corpora": "data",
    "corpus": "data",
    "dataset": "data",
    "device": "accelerator",
    "epoch": "max_epochs",
    "epochs": "max_epochs",
    "folds": "fold",
    "gpu": "devices",
    "gpus": "devices",
    "learning_rate": "lr",
    "num_workers": "workers",
    "output": "runs",
    "split": "protocol",
}
"""What settings are called elsewhere."""
WITHOUT_PROTOCOL = ("prepare", "describe", "explore")
"""The commands that take corpora, but do not split them."""
FREE = ("fold_settings", "hydra", "labels_map", "models", "seen", "space")
"""Parts of a configuration whose keys are not names of settings."""


def written(overrides: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """Return settings that are given as keywords the way that the command line has them, behind those that are so already.

    Example:
        >>> written(["seed=1"], {"fold": "all", "trainer": {"max_epochs": 3}, "data": ["ravdess", "savee"]})
        ['seed=1', 'fold=all', '++trainer.max_epochs=3', 'data=[ravdess,savee]']
    """
    return [*overrides, *_keywords(settings)]


def _keywords(settings: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _keywords(value, f"{above}{name}.")
        else:
            yield f"{'++' if above else ''}{above}{name}={literal(value)}"


def literal(value: Any) -> str:
    """Return a value in Hydra's grammar of overrides."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{literal(part)}" for key, part in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(map(literal, value)) + "]"
    text = str(value)
    if re.fullmatch(r"[A-Za-z_][\w-]*", text) and text.lower() not in ("null", "true", "false", "inf", "nan"):
        return text
    return quoted(text)


def quoted(text: str) -> str:
    r"""Return a text as a quoted value of an override, in which a backslash is itself, but in front of a quote.

    Example:
        >>> print(quoted("it's"))
        'it\'s'
    """
    return "'" + re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), text) + "'"


TEXTS = re.compile(
    r"(.*\.)?(checkpoint|ckpt|corpora|dir|files?|folder|home|out|path|pattern|resume|root|runs?|splits|storage|stores|voice)"
)
"""The settings that hold paths and patterns: any text is a value of theirs."""
OPEN = "labels.merge."
"""Beginning of the settings whose names are labels of the data: any text is one."""


TRAINED = "model.path"
"""What ``model`` stands for in a command that takes a trained model: Hydra takes ``model`` for a group of files."""


def takes_trained(command: str) -> bool:
    """Whether a command takes a trained model, and not the configuration of one."""
    model = _read(Path(conf_dir()) / f"{command}.yaml").get("model")
    return isinstance(model, dict) and list(model) == ["path"]


def understood(arguments: Sequence[str], command: str) -> list[str]:
    """Return the command line of a command in Hydra's grammar, where a path, a pattern or a label is not in it as typed.

    Example:
        >>> understood(["data.pattern={speaker}/{label}_*", "labels.merge.bored=neutral", "seed=1"], "train")
        ["data.pattern='{speaker}/{label}_*'", '++labels.merge.bored=neutral', 'seed=1']
        >>> understood(["model=runs/a=b"], "predict")
        ["model.path='runs/a=b'"]
    """
    several = bool({"-m", "--multirun"} & set(arguments))
    if takes_trained(command):
        arguments = [re.sub(r"^model=", f"{TRAINED}=", argument) for argument in arguments]
    return [_understood(argument, several) for argument in arguments]


def _understood(argument: str, several: bool) -> str:
    name, equals, value = argument.partition("=")
    key = name.lstrip("+~")
    if not equals or not (key.startswith(OPEN) or TEXTS.fullmatch(key)):
        return argument
    if key.startswith(OPEN):
        name = "++" + OPEN + text_key(key.removeprefix(OPEN))
    return f"{name}={value if _is_value(value, several) else quoted(value)}"


def as_typed(override: str) -> str:
    """Return an override without the quotes that `understood` adds.

    Example:
        >>> as_typed("data.file='my clips.csv'"), as_typed("data=[table,demo]")
        ('data.file=my clips.csv', 'data=[table,demo]')
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parse = OverridesParser.create().parse_override
    value = parse(override).value()
    typed = f"{override.partition('=')[0]}={value}"
    return typed if isinstance(value, str) and parse(_understood(typed, several=False)).value() == value else override


def _is_value(text: str, several: bool) -> bool:
    """Whether Hydra's grammar reads a text as itself, as null or a list, or as one text for each of ``several`` jobs."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import CompactHydraException, HydraException

    try:
        override = OverridesParser.create().parse_override(f"x={text}")
        if override.is_sweep_override():
            return several and bool(list(override.sweep_string_iterator()))
        value = override.value()
    except (CompactHydraException, HydraException):
        return False
    quoted_already = text[:1] in ("'", '"') and isinstance(value, str)
    return value is None or isinstance(value, list) or value == text or quoted_already


def composed(command: str, overrides: Sequence[str]) -> "DictConfig":
    """Return the checked configuration of a command; a Hydra application that is running keeps its own.

    Raises:
        ConfigError: If an override cannot be applied, or what comes of all of them is not complete.
    """
    from hydra import compose
    from omegaconf import OmegaConf, open_dict

    with plain_hydra_errors(command, overrides), composing():
        config = compose(command, understood(overrides, command), return_hydra_config=True)
    if str(OmegaConf.select(config, "hydra.mode")).endswith("MULTIRUN"):
        raise ConfigError(
            f"These settings ask for several runs, and a function makes one. Use python -m ser.{command}."
        )
    with open_dict(config):
        del config["hydra"]
    check(config, command, overrides)
    return config


def check(config: "DictConfig", command: str, overrides: Sequence[str] = ()) -> None:
    """Refuse a configuration with a setting that has no value, or that nothing reads.

    Corpora are named as `name_corpora` does, and names of features replaced as `ser.runtime.parts.fill_parts` does.

    Raises:
        ConfigError: If there is such a setting, several corpora have no protocol, or there is no such feature.
    """
    from omegaconf import OmegaConf

    name_corpora(config)
    fill_parts(config)
    if missing := sorted(key for key in OmegaConf.missing_keys(config) if not key.startswith("hydra.")):
        name = "model" if missing[0] == TRAINED else missing[0]
        raise ConfigError(f"Missing required setting: {name}. Set it with {name}=<value>.")
    if unknown := next(_unknown(config, command), None):
        raise ConfigError(f"Unknown setting: {unknown}.{did_you_mean(unknown, command)}")
    chosen = [override.partition("=")[0] for override in overrides]
    several = command not in WITHOUT_PROTOCOL and len(OmegaConf.select(config, "data.corpora") or ()) > 1
    if several and "protocol" not in chosen:
        raise ConfigError("Several corpora have no protocol of their own. Choose one, such as protocol=speaker_cv.")


def name_corpora(config: "DictConfig") -> None:
    """Give each of several tables or folders a corpus of its own, and each corpus the name that ``data.name`` gives it.

    Raises:
        ConfigError: If there are not as many names as files, or two corpora have one name.
    """
    from omegaconf import OmegaConf, open_dict

    corpora = OmegaConf.select(config, "data.corpora") or {}
    found = [(name, part) for key in corpora for name, part in _named(str(key), corpora[key])]
    if list(corpora) == (names := [name for name, _ in found]):
        return
    if len(set(names)) < len(names):
        raise ConfigError(
            f"data.name must be a different name for each corpus; got {', '.join(names)}. Set data.name=[one,other]."
        )
    with open_dict(config):
        config.data.corpora = dict(found)


def _named(key: str, corpus: "DictConfig") -> "Iterator[tuple[str, Any]]":
    """Yield the corpora that an entry stands for, by name."""
    from omegaconf import OmegaConf

    entry: dict[str, Any] = OmegaConf.to_container(corpus, resolve=True)  # type: ignore[assignment]
    root, name = entry.get("root"), entry.get("name")
    if not isinstance(root, list):
        yield name if isinstance(name, str) else key, corpus
        return
    names = [re.sub(r"[^\w.-]+", "_", Path(str(part)).stem) for part in root] if name is None else name
    if not isinstance(names, list) or len(names) != len(root):
        raise ConfigError(f"data.name must be a list of {len(root)} names, one for each table; got {name}.")
    for one, part in zip(map(str, names), root, strict=True):
        yield one, {**entry, "root": part, "name": one}


def _unknown(config: "DictConfig", command: str) -> Iterator[str]:
    """Yield the settings that no file of ``conf/`` has. A class checks its own arguments when it is made."""
    from omegaconf import OmegaConf

    own = _read(Path(conf_dir()) / f"{command}.yaml")
    plain: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
    for name, value in plain.items():
        group = Path(conf_dir()) / name
        if name in FREE:
            continue
        if name not in own and not group.is_dir():
            yield name
        elif isinstance(value, dict) and "_target_" not in value:
            known = {*(own.get(name) or {}), *_keys_of(group, name)}
            made = {key for key, part in value.items() if isinstance(part, dict) and "_target_" in part}
            yield from (f"{name}.{key}" for key in value if key not in known | made)


@cache
def _keys_of(group: Path, name: str) -> set[str]:
    """Return the keys that files of a group put below its name."""
    found: set[str] = set()
    for file in group.glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        package = re.match(r"# @package (\S+)", text)
        values = _read(file)
        below = package and package[1] != name
        found |= set(values.get(name) or {}) if below else set(values) - {"defaults"}
    return found


@cache
def _read(file: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf

    return dict(OmegaConf.to_container(OmegaConf.load(file)) or {}) if file.is_file() else {}  # type: ignore[arg-type]


@contextmanager
def plain_hydra_errors(command: str, overrides: Sequence[str]) -> Iterator[None]:
    """Turn what Hydra says of a configuration that it cannot compose into a sentence.

    Raises:
        ConfigError: In place of an error of Hydra's.
    """
    from hydra.errors import CompactHydraException, HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (CompactHydraException, HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_sentence(error, command)) from error
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        raise ConfigError(_not_a_choice(overrides)) from error


def _sentence(error: Exception, command: str) -> str:
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import InterpolationKeyError

    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return _choices(group, choice)
    if isinstance(error, OverrideParseException):
        written = error.override or ""
        return (
            f"An override must be <name>=<value>; got {written!r}. Write a value with spaces, commas or brackets in quotes "
            "of its own, such as 'name=\"a, b\"'."
        )
    if isinstance(error, InterpolationKeyError):
        return f"{error.full_key or 'A setting'} refers to another setting that does not exist: {text.splitlines()[0]}."
    if match := re.search(r"An item is already at '([^']+)'", text):
        return f"{match[1]} is a setting already. Write {match[1]}=<value>, without a plus sign."
    if match := re.search(r"(?:Could not override|Could not delete from config\.|config group) '([^']+)'", text):
        if (name := match[1].lstrip("+~")) in _settings(command):
            return f"{name} must not be set with these choices; got a value. It belongs to a group that they leave out."
        return f"Unknown setting: {match[1]}.{did_you_mean(match[1], command)}"
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _choices(group: str, choice: str) -> str:
    options = sorted(file.stem for file in (Path(conf_dir()) / group).glob("*.yaml"))
    close = difflib.get_close_matches(choice, options, 1)
    hint = f" Did you mean {group}={close[0]}?" if close else ""
    return f"{group} must be one of {', '.join(options)}; got {choice}.{hint}"


def _not_a_choice(overrides: Sequence[str]) -> str:
    for override in overrides:
        group, _, value = override.partition("=")
        if (Path(conf_dir()) / group).is_dir() and group and re.fullmatch(r"null|true|false|[\d.e+-]*", value):
            none = (
                f" Write {group}=none for none of them." if value == "null" and group in ("augment", "cleaning") else ""
            )
            return f"{_choices(group, value or 'nothing')}{none}"
    return f"An override must be <name>=<value>; got {' '.join(overrides)}."


def did_you_mean(key: str, command: str) -> str:
    """Return a question that names the setting that was probably meant; empty if none is near."""
    known = [name for name in _settings(command) if not key.startswith(f"{name}.")]
    last = key.lstrip("+~").rpartition(".")[2]
    name = ALIASES.get(last, last)
    found = [path for path in known if path.rpartition(".")[2] == name]
    if not found:
        lasts = {path.rpartition(".")[2]: path for path in reversed(known)}
        found = difflib.get_close_matches(key, known, 1, 0.75) or [
            lasts[near] for near in difflib.get_close_matches(name, lasts, 1, 0.7)
        ]
    return f" Did you mean {found[0]}?" if found else f" See python -m ser.{command} --help."


def _settings(command: str) -> list[str]:
    """Return the names of all settings of a command, those of the upper levels first."""
    from hydra import compose
    from omegaconf import OmegaConf

    with composing():
        plain = OmegaConf.to_container(compose(command))

    def keys(node: Any, prefix: str = "") -> Iterator[str]:
        for key, value in node.items() if isinstance(node, dict) else ():
            if key not in FREE and not str(key).startswith("_"):
                yield f"{prefix}{key}"
                yield from keys(value, f"{prefix}{key}.")

    return sorted(keys(plain), key=lambda key: key.count("."))

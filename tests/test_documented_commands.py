"""Every command of the README and of docs/ is one that works: its settings exist, and what it names can be chosen."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from ser.command import with_settings
from ser.describe import data_settings
from ser.plot import files_setting
from ser.runtime.composition import check, understood
from ser.runtime.conf_dir import conf_dir
from ser.sweeps import names

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"python -m (ser\.\w+)((?:[^\n`\\]|\\\n)*)")
NAMED = re.compile(r"^```yaml\n((?:# @package[^\n]*\n)?# conf/(\S+)\n.*?)^```", flags=re.MULTILINE | re.DOTALL)
"""A file of one's own in ``conf/`` that a page shows, whole."""


def commands(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the module and the arguments of every command in fenced blocks and in inline code.

    An argument ``...`` stands for more of them, and ``<name>`` for one.
    """
    blocks = re.findall(r"^```.*?^```", text, flags=re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", rest)]
    for module, arguments in COMMAND.findall("\n".join([*blocks, *inline])):
        words = shlex.split(re.sub(r"<[^>]*>", "x", arguments.replace("\\\n", " ")), comments=True)
        yield (module, *(word for word in words if word != "..."))


def pairs() -> list[tuple[str, ...]]:
    found = {command: None for page in PAGES for command in commands(page.read_text())}
    return sorted(found)


def choices(name: str, arguments: tuple[str, ...]) -> Iterator[list[str]]:
    """Yield the overrides of a command; of a sweep, those of jobs in which each of its values is once."""
    parsed = OverridesParser.create().parse_overrides(understood(arguments, name))
    values = [_values(one) for one in parsed]
    for at in range(max(map(len, values), default=0) or 1):
        yield [
            f"{one.key_or_group}={each[min(at, len(each) - 1)]}" if each else str(one.input_line)
            for one, each in zip(parsed, values, strict=True)
        ]


def swept(name: str, overrides: list[str]) -> list[str]:
    """The overrides of a sweep that the chosen files make without being asked on the command line."""
    first = next(choices(name, tuple(overrides)))
    params = OmegaConf.select(compose(name, first, return_hydra_config=True), "hydra.sweeper.params") or {}
    given = {override.partition("=")[0] for override in overrides}
    return [f"{key}={value}" for key, value in params.items() if key not in given]


def _values(one: Override) -> list[str]:
    """The values of a sweep, of an interval its start, of a range its ends; none of a plain override."""
    if one.is_interval_sweep():
        return [str(one.value().start)]
    values = list(one.sweep_string_iterator()) if one.is_sweep_override() else []
    return [values[0], values[-1]] if one.is_range_sweep() else values


ALONE = {"describe": data_settings, "explore": data_settings, "plot": files_setting, "predict": files_setting}
"""What paths without a name stand for."""
COMPOSED = [c for c in pairs() if (Path(conf_dir()) / f"{c[0].removeprefix('ser.')}.yaml").is_file()]
PARSED = [c for c in pairs() if c not in COMPOSED]


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped configuration, and the files that the pages add to it."""
    folder = tmp_path_factory.mktemp("with_examples") / "conf"
    shutil.copytree(conf_dir(), folder)
    for page in PAGES:
        for text, name in NAMED.findall(page.read_text()):
            (folder / name).write_text(text)
    return folder


def test_commands_are_found() -> None:
    text = (
        "See `python -m ser.train a=1\nb='c d' ...`.\n```bash\nsrun x python -m ser.audit \\\n  d=<file>  # why\n```\n"
    )
    assert list(commands(text)) == [("ser.audit", "d=x"), ("ser.train", "a=1", "b=c d")]
    assert len(COMPOSED) > 10
    assert PARSED


@pytest.mark.slow
@pytest.mark.parametrize("command", COMPOSED, ids=" ".join)
def test_a_documented_command_composes(command: tuple[str, ...], conf: Path) -> None:
    module, *arguments = command
    name = module.removeprefix("ser.")
    names.register()
    arguments = with_settings(arguments, ALONE.get(name))
    overrides = [word for word in arguments if not word.startswith("-")]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        overrides = [*swept(name, overrides), *overrides]
        for chosen in choices(name, tuple(overrides)):
            check(compose(name, chosen), name, [*chosen, *overrides])


@pytest.mark.parametrize("command", PARSED, ids=" ".join)
def test_a_documented_command_line_is_parsed(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    module, *arguments = command
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    from importlib import import_module

    with pytest.raises(SystemExit) as ended:  # the folders do not exist here
        import_module(module).main()
    assert ended.value.code in (1, 2) or "--help" in arguments
    assert "usage:" not in capsys.readouterr().err

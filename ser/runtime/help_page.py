"""``--help`` of a command, from its file in ``conf/``: without Hydra, whose import and plugins take seconds."""

import re
import textwrap
from pathlib import Path

from ser.runtime.conf_dir import conf_dir

DESCRIBED = "protocol"
"""The group whose choices are explained in a line each."""
CHANGED = " (changed)"
"""How the name of a protocol ends in results if its settings are not those of its file; see `ser.protocols.naming`."""


def help_page(conf: Path, command: str, width: int = 80) -> str:
    """Return the text of ``hydra.help.template``, with the choices of a group in place of a line ``$group``."""
    import yaml

    settings = yaml.safe_load((conf / f"{command}.yaml").read_text(encoding="utf-8"))
    template = str(settings["hydra"]["help"]["template"])
    return re.sub(r"^\$(\w+)$", lambda match: _choices(conf / match[1], width), template, flags=re.MULTILINE)


def _choices(group: Path, width: int) -> str:
    files = sorted(group.glob("*.yaml"))
    if group.name != DESCRIBED:
        return _wrapped(group.name, ", ".join(file.stem for file in files), width, 2, 18)
    described = [_wrapped(file.stem, choice_description(file), width, 4, 30) for file in files]
    return "\n".join([f"  {group.name}", *described])


def _wrapped(name: str, text: str, width: int, indent: int, column: int) -> str:
    first = f"{' ' * indent}{name}".ljust(column - 1) + " "
    lines = textwrap.wrap(text, width - 1, initial_indent=first, subsequent_indent=" " * column, break_on_hyphens=False)
    return "\n".join(lines)


def protocol_summary(name: str) -> str:
    """Return a protocol's description in a sentence, as ``--help`` has it; empty for one without a file in ``conf/``.

    Example:
        >>> protocol_summary("luna5 (changed)")
        'RAVDESS: five published folds of actors. Settings differ from these.'
    """
    file = Path(conf_dir()) / "protocol" / f"{name.removesuffix(CHANGED)}.yaml"
    if not file.is_file():
        return ""
    return choice_description(file) + " Settings differ from these." * name.endswith(CHANGED)


def choice_description(file: Path) -> str:
    """Return the first line of the comment that a file of ``conf/`` begins with."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    return lines[0].removeprefix("# ")

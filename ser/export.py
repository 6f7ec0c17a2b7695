"""``python -m ser.export model=runs/...``: a trained model as one file, for other programs and other machines."""

from typing import TYPE_CHECKING, Any

from ser.command import command

if TYPE_CHECKING:
    from pathlib import Path

    from omegaconf import DictConfig

LICENCE = (
    "The weights were trained on recordings of these corpora: use them where the licences of all of these allow it."
)
PAGE = "page"
"""A format: a page in ONNX for browsers; see `ser.serving.site`."""
UNKNOWN = "The corpora of the training are not known; the licences of their recordings hold."


@command("export")
def main(config: "DictConfig") -> None:
    """Export the model that the configuration names."""
    from pathlib import Path

    from rich.console import Console

    from ser.errors import ConfigError
    from ser.inference.exporting.write import FORMATS, export_checkpoint
    from ser.runs.folder import checkpoint_of
    from ser.serving.site import MODEL, check_runtime, write_site

    if config.format not in (*FORMATS, PAGE):
        raise ConfigError(f"format must be {', '.join(FORMATS)} or {PAGE}; got {config.format!r}.")
    checkpoint, site = checkpoint_of(config.model.path), config.format == PAGE
    runtime = check_runtime(config.runtime) if site else Path()
    form = "onnx" if site else config.format
    named = Path(config.out or (PAGE if site else f"model{FORMATS[form][0]}")).expanduser()
    out = named / MODEL if site else named
    written = export_checkpoint(checkpoint, out, form, stated_facts(checkpoint), config.quantise)
    before = "" if written.unquantised is None else f" ({written.unquantised / 1e6:.1f} MB before quantisation)"
    lines = [f"{written.path}  {written.size / 1e6:.1f} MB{before}, at most {written.difference:.1g} from PyTorch"]
    if site:
        lines.append(
            f"{write_site(named, runtime, Path(config.model.path))}  shown by python -m http.server -d {named}"
        )
    Console(highlight=False, soft_wrap=True).print("\n".join(lines), markup=False)


def stated_facts(checkpoint: "Path") -> dict[str, Any]:
    """Return what the run of a checkpoint states about its training, and the version of this library."""
    from ser import __version__
    from ser.errors import ConfigError, RunError
    from ser.protocols.plan import corpora_of
    from ser.runs.folder import RunFolder

    try:
        found = corpora_of(RunFolder(checkpoint.resolve().parent.parent).whole.config)
    except (RunError, ConfigError):  # a checkpoint alone, or a corpus that this version does not have
        found = {}
    languages = sorted({language for corpus in found.values() for language in corpus.language.split(", ")} - {""})
    return {
        "ser_version": __version__,
        "corpora": {name: {"title": corpus.title, "licence": corpus.licence} for name, corpus in found.items()},
        "languages": languages,
        "licence": LICENCE if found else UNKNOWN,
    }


if __name__ == "__main__":
    main()

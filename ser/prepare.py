"""``python -m ser.prepare``: find, check and decode corpora, and say what is wrong with them."""

from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("prepare")
def main(config: "DictConfig") -> None:
    """Prepare what the configuration says."""
    from omegaconf import OmegaConf
    from rich.console import Console

    from ser.audio.decode import AudioSettings
    from ser.audio.store import prepare
    from ser.protocols.plan import corpora_of
    from ser.report.preparation import preparation_table

    console = Console()
    settings = AudioSettings.of(OmegaConf.to_container(config.audio))  # type: ignore[arg-type]
    for corpus in corpora_of(config).values():
        if config.download:
            from ser.corpora.download import download

            download(corpus)
        store = prepare(corpus, config.paths.stores, settings, strict=config.strict, rebuild=config.rebuild)
        console.print(preparation_table(store.card, str(store.folder)))


if __name__ == "__main__":
    main()

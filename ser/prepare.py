"""``python -m ser.prepare``: find, check and decode corpora, and report what is wrong with them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ser.audio.store import Store
    from ser.corpora.corpus import Corpus


@command("prepare")
def main(config: "DictConfig") -> None:
    """Prepare the corpora of the configuration, and print what was found."""
    from rich.console import Console

    from ser.report.preparation import preparation_table

    for store in prepare_corpora(config):
        Console().print(preparation_table(store.card, str(store.folder)))


def prepare_corpora(config: "DictConfig") -> "Iterator[Store]":
    """Yield the store of each corpus as it is prepared."""
    from omegaconf import OmegaConf

    from ser.audio.decode import AudioSettings
    from ser.audio.store import prepare
    from ser.protocols.plan import corpora_of
    from ser.runtime.instantiate import settings_from

    settings = settings_from(AudioSettings, OmegaConf.to_container(config.audio), "audio")  # type: ignore[arg-type]
    for corpus in corpora_of(config).values():
        if config.download:
            from ser.corpora.download import download

            download(corpus)
        if config.unpack:
            unpack_all(corpus)
        yield prepare(corpus, config.paths.stores, settings, strict=config.strict, rebuild=config.rebuild)


def unpack_all(corpus: "Corpus") -> None:
    """Unpack the zip files of a corpus into its folder, where they stay."""
    from ser.corpora.unpack import unpack

    for archive in corpus.zips():
        unpack(archive, corpus.unpacked(archive), remove_damaged=False)


def store_summary(store: "Store") -> dict[str, Any]:
    """Return what a store holds, in a few numbers."""
    card = store.card
    counts = {"clips": card["utterances"], "speakers": card["speakers"], "hours": card["hours"]}
    where = {"store": str(store.folder), "fingerprint": store.fingerprint}
    return {"corpus": card["title"], **counts, "problems": len(card["problems"]), **where}


if __name__ == "__main__":
    main()

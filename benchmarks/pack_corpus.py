"""Write a corpus as it is prepared, one FLAC a clip, so that a machine without it can prepare the same from a few megabytes.

    python benchmarks/pack_corpus.py ravdess .gpu/corpora

Prepared again from these files, the corpus has the same samples and so the same fingerprint, which is checked.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import soundfile
from machine import composed

from ser.audio.decode import AudioSettings
from ser.audio.store import prepare
from ser.protocols.plan import corpora_of


def main(name: str, target: Path) -> None:
    """Write the clips and check them."""
    config = composed([f"data={name}"])
    corpus, settings = corpora_of(config)[name], AudioSettings(**config["audio"])
    store = prepare(corpus, config["paths"]["stores"], settings)
    shutil.rmtree(target / name, ignore_errors=True)
    for path, start, length in store.manifest[["path", "start", "length"]].to_numpy():
        file = target / name / Path(path).relative_to(corpus.root).with_suffix(".flac")
        file.parent.mkdir(parents=True, exist_ok=True)
        samples = store.samples[start : start + length]
        soundfile.write(file, samples, settings.sample_rate, format="FLAC", compression_level=1.0)
    with tempfile.TemporaryDirectory() as stores:
        again = prepare(type(corpus)(target / name), stores, settings)
    if again.fingerprint != store.fingerprint:
        sys.exit(f"{target / name} does not prepare to the same samples: {again.fingerprint}, not {store.fingerprint}.")
    print(f"{len(store.manifest)} clips of {corpus.title} in {target / name}; fingerprint {store.fingerprint}.")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

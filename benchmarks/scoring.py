"""How many hours of audio are scored in a second, beside librosa and transformers that do the same; ratios of one run.

    python benchmarks/scoring.py                          480 clips of 48 kHz; encoders of the size of the base ones, on 60
    python benchmarks/scoring.py --clips 16 --tiny        a dry run

The clips are the demo corpus at 48 kHz, decoded and resampled each time; all weights are random, on the device that there
is. Each way begins with a few clips that do not count. Beside the CNN is a loop of librosa and PyTorch: it loads a clip,
computes log-mel energies, and scores it with the same net, one after the other. Beside an encoder is the pipeline of
transformers on the same encoder, clip by clip and in batches; Whisper's pipeline fills each clip up to 30 s. How far the
answers of librosa's loop are from ours is printed, too.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile
import torch
from machine import CLASSES, device, device_name, synchronise, untrained
from rich.console import Console
from rich.table import Table

from ser.audio.decode import read_audio, resample
from ser.corpora.demo import Demo
from ser.inference.batch import Asked, predict_files
from ser.inference.predictor import Predictor
from ser.models.classifier import SpeechClassifier

RATE, FILE_RATE = 16000, 48000
WARM = 4
BATCH = 16
FEWER = 8
"""An encoder scores one clip of so many."""
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
SMALL_WHISPER = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 48}
BASE_WHISPER = {"d_model": 512, "encoder_layers": 6, "encoder_attention_heads": 8, "encoder_ffn_dim": 2048}
UNUSED = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 48}
"""Of Whisper's decoder."""
Way = Callable[[Sequence[Path]], object]
"""Scores some files."""


def recordings(folder: Path, clips: int) -> list[Path]:
    """Write clips of the demo corpus at 48 kHz."""
    made = []
    for at, utterance in enumerate(islice(Demo().utterances(), clips)):
        samples, rate = read_audio(utterance.path)
        made.append(folder / f"{at:04}.wav")
        soundfile.write(made[-1], resample(samples, rate, FILE_RATE), FILE_RATE, subtype="PCM_16")
    return made


def ours(model: SpeechClassifier, folder: Path) -> dict[str, Way]:
    """Return the ways of this library, by name."""
    predictor, out = Predictor(model), folder / "table.csv"
    known = {"sha256": "random"}
    return {
        "model.predict": lambda files: predictor.predict(list(files), batch_size=BATCH),
        "ser.predict": lambda files: predict_files(predictor.scorer, list(map(str, files)), Asked(), out, known, BATCH),
    }


@torch.no_grad()
def by_librosa(model: SpeechClassifier, files: Sequence[Path]) -> np.ndarray:
    """Return the probabilities of clips, one after the other, ``(clip, class)``."""
    found = []
    for file in files:
        samples, _ = librosa.load(file, sr=RATE)
        mel = librosa.feature.melspectrogram(
            y=samples, sr=RATE, n_fft=1024, hop_length=256, n_mels=80, fmin=50, htk=True, norm=None, center=False
        )
        features = torch.from_numpy(np.log(mel + 1e-6)).float()[None].to(device())
        frames = torch.tensor([features.shape[2]], device=device())
        found.append(model.classify(model.normalise(features, frames), frames).softmax(dim=1).cpu())
    return torch.cat(found).numpy()


def heard(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield clips as a pipeline takes them."""
    for file in files:
        yield {"raw": librosa.load(file, sr=RATE)[0], "sampling_rate": RATE}


def theirs(folder: Path) -> dict[str, Way]:
    """Return the ways of transformers, by name."""
    from transformers import pipeline

    classify: Any = pipeline("audio-classification", model=str(folder), device=device())
    return {
        "transformers": lambda files: list(classify(heard(files))),
        "transformers, batches": lambda files: list(classify(heard(files), batch_size=BATCH)),
    }


def save_encoder(name: str, folder: Path, *, tiny: bool) -> None:
    """Write an encoder with a head for as many classes, as transformers writes it, with random weights."""
    import transformers

    library: Any = transformers  # whose types do not know what configurations take
    library.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    if name == "whisper":
        sizes = (SMALL_WHISPER if tiny else BASE_WHISPER) | UNUSED
        net = library.WhisperForAudioClassification(library.WhisperConfig(**sizes, num_labels=len(CLASSES)))
        library.WhisperFeatureExtractor().save_pretrained(folder)
    else:
        config = library.Wav2Vec2Config(**(SMALL if tiny else {}), num_labels=len(CLASSES))
        net = library.Wav2Vec2ForSequenceClassification(config)
        library.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    net.save_pretrained(folder)


def compare(name: str, ways: dict[str, Way], files: Sequence[Path], rounds: int) -> Table:
    """Score the files in each way, in rounds of all, and return the fastest times beside those of the first way."""
    seconds = sum(soundfile.info(file).duration for file in files)
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, score in ways.items():
            score(files[:WARM])
            began = time.perf_counter()
            score(files)
            synchronise()
            taken[way].append(time.perf_counter() - began)
    table = Table(name, "hours of audio a second", "times real time", "times the first's time")
    first = min(next(iter(taken.values())))
    for way, times in taken.items():
        speed = seconds / min(times)
        table.add_row(way, f"{speed / 3600:.4f}", f"{speed:.0f}", f"{min(times) / first:.2f}")
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how fast recordings are scored.")
    parser.add_argument("--clips", type=int, default=480, help="of the demo corpus, which has 480")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="encoders of two small layers")
    asked = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "clips").mkdir()
        files = recordings(folder / "clips", asked.clips)
        cnn = untrained("model=cnn", "normalise=utterance", "audio.trim_db=null")
        ways = ours(cnn, folder) | {"librosa": lambda files: by_librosa(cnn, files)}
        console.print(compare("CNN", ways, files, asked.rounds))
        answers = Predictor(cnn).predict(files, calibrated=False)[list(CLASSES)].to_numpy()
        apart = np.abs(answers - by_librosa(cnn, files)).max()
        console.print(f"No probability of the loop differs by more than {apart:.1g}.")
        for name in ("wav2vec2", "whisper"):
            save_encoder(name, folder / name, tiny=asked.tiny)
            model = untrained(f"model={name}", f"model.encoder.checkpoint={folder / name}", "audio.trim_db=null")
            ways = ours(model, folder) | theirs(folder / name)
            console.print(compare(name, ways, files[::FEWER], asked.rounds))
    console.print(f"{len(files)} clips on {device_name()}, the fastest of {asked.rounds} rounds.")


if __name__ == "__main__":
    main()

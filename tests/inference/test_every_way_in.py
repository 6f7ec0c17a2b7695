"""Whichever way a recording goes in, the same model gives it the same label, probabilities, set and flags."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from fastapi.testclient import TestClient

import ser
from ser.audio.decode import open_recording
from ser.inference.decoded import read_decoded
from ser.inference.exporting.write import export_checkpoint
from ser.inference.predictor import Predictor
from ser.inference.stream import END
from ser.predict import main
from ser.protocols.plan import planned
from ser.runs.folder import RunFolder, checkpoint_of
from ser.training import experiment
from tests import forked
from tests.conftest import Settings
from tests.inference.conftest import speech
from tests.inference.test_stream import quiet
from tests.serving.conftest import opened, service_of
from tests.serving.test_live import spoken
from tests.untrained import SMALL

ROUNDING = 1e-6
"""Of float32 probabilities, whose sums are added in another order in a batch of another shape."""
EXPORTED = 1e-4
"""What an export may differ by (`ser.inference.exporting.parity.MOST`): another library adds the convolutions, and the
Fourier transform of the features, in another order."""
LONG = "long.wav"
TRAINING = (
    "model=cnn",
    *SMALL,
    "augment=[]",
    "callbacks=[early_stopping]",
    "trainer.max_epochs=12",
    "optimizer.lr=0.02",
)
"""Enough that answers differ from clip to clip, which a few steps at a usual rate, averaged, do not bring about."""


class Answer(NamedTuple):
    """What a model says of a clip; a prediction set is sorted."""

    label: str
    values: list[float]
    set: list[str]
    flags: list[str]


@dataclass(frozen=True)
class Made:
    """A run, its model, clips in a folder, and an empty folder."""

    run: Path
    model: Predictor
    clips: list[Path]
    client: TestClient
    folder: Path

    def answers(self, rows: pd.DataFrame | Sequence[Any]) -> list[Answer]:
        """The rows of a table, or of JSON in which probabilities are apart."""
        plain = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows
        found = [{**row, **row.get("probabilities", {})} for row in plain]
        classes = self.model.classes
        return [
            Answer(row["label"], [row[name] for name in classes], _words(row["set"]), _words(row["flags"]))
            for row in found
        ]

    def alone(self, clips: Sequence[Path]) -> list[Answer]:
        """The answer to each file by itself, which that of every other way must be."""
        return [answer for clip in clips for answer in self.answers(self.model.predict(clip))]


def _words(found: Any) -> list[str]:
    if isinstance(found, str):  # of a CSV
        return sorted(found.split(";"))
    return [] if isinstance(found, float) else sorted(found)


def written(folder: Path) -> list[Path]:
    """Clips of several lengths, rates, formats and numbers of channels, in the order of their names."""
    stereo = np.stack([speech(1.7, 44100, seed=3), 0.5 * speech(1.7, 44100, seed=4)], axis=1)
    clips: dict[str, tuple[np.ndarray, int, str]] = {
        "a short.wav": (speech(0.2), 16000, "PCM_16"),
        "b telephone.flac": (speech(1.3, 8000, seed=1), 8000, "PCM_16"),
        "c coarse.wav": (3 * speech(0.9, 11025, seed=2), 11025, "PCM_U8"),
        "d stereo.wav": (stereo, 44100, "PCM_24"),
        "e loud.wav": (np.clip(20 * speech(2.5, 48000, seed=5), -1, 1), 48000, "FLOAT"),
        "f compressed.ogg": (speech(3.1, seed=6), 16000, "VORBIS"),
        LONG: (speech(33.0, 8000, seed=7), 8000, "PCM_16"),
    }
    for name, (samples, rate, subtype) in clips.items():
        soundfile.write(folder / name, samples, rate, subtype=subtype)
    return [folder / name for name in clips]


@pytest.fixture(scope="module")
def made(small_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("ways")
    run = Path(experiment.train(small_settings(*TRAINING, f"paths.run={folder / 'run'}")))
    model = ser.load(run)
    (folder / "clips").mkdir()
    with opened(service_of(model, per_minute=1e6)) as client:
        yield Made(run, model, written(folder / "clips"), client, folder)


@pytest.fixture(scope="module")
def expected(made: Made) -> list[Answer]:
    found = made.alone(made.clips)
    for one, other in pairwise(found):
        assert np.abs(np.subtract(one.values, other.values)).max() > 100 * EXPORTED, "clips have one answer each"
    assert {"too short", "windows", "band-limited", "clipped"} <= {word for answer in found for word in answer.flags}
    return found


def same(found: Sequence[Answer], expected: Sequence[Answer], atol: float = ROUNDING) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=atol)
        assert one._replace(values=[]) == other._replace(values=[])


def of_bytes(made: Made) -> list[Answer]:
    return made.answers(made.model.predict([clip.read_bytes() for clip in made.clips]))


def of_arrays(made: Made) -> list[Answer]:
    return made.answers(made.model.predict([soundfile.read(clip, dtype="float32") for clip in made.clips]))


def of_one_array(made: Made) -> list[Answer]:
    read = [soundfile.read(clip) for clip in made.clips]
    return [answer for samples, rate in read for answer in made.answers(made.model.predict(samples, rate))]


def of_a_list(made: Made) -> list[Answer]:
    return made.answers(made.model.predict(made.clips, batch_size=len(made.clips)))


def of_a_list_backwards(made: Made) -> list[Answer]:
    return made.answers(made.model.predict(made.clips[::-1], batch_size=2))[::-1]


def of_a_folder(made: Made) -> list[Answer]:
    return made.answers(made.model.predict(made.clips[0].parent))


def of_a_table(made: Made) -> list[Answer]:
    return made.answers(made.model.predict(pd.DataFrame({"path": made.clips})))


def of_another_process(made: Made) -> list[Answer]:
    made.model.embed(made.clips[0])  # leaves nothing that cannot be sent
    context = get_context("forkserver")
    context.set_forkserver_preload(forked.PRELOADED)
    with ProcessPoolExecutor(1, context) as pool:
        return made.answers(pool.submit(made.model.predict, made.clips).result())


def of_the_command(made: Made, suffix: str) -> pd.DataFrame:
    """The table that ``python -m ser.predict`` writes."""
    out = made.folder / f"table{suffix}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made.folder)
        patch.setattr("sys.argv", ["predict", f"model={made.run}", "clips", f"out={out}"])
        main()
    if suffix == ".jsonl":
        return pd.DataFrame([json.loads(line) for line in out.read_text().splitlines()])
    return pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)


def of_the_command_as_csv(made: Made) -> list[Answer]:
    return made.answers(of_the_command(made, ".csv"))


def of_the_command_as_json(made: Made) -> list[Answer]:
    return made.answers(of_the_command(made, ".jsonl"))


def of_the_command_as_parquet(made: Made) -> list[Answer]:
    return made.answers(of_the_command(made, ".parquet"))


def of_an_upload(made: Made) -> list[Answer]:
    files = [{"file": (f"../{clip.name}", clip.read_bytes(), "audio/x")} for clip in made.clips]
    return made.answers([made.client.post("/v1/predict", files=file).json() for file in files])


def of_a_raw_body(made: Made) -> list[Answer]:
    kinds = [{"Content-Type": kind} for kind in ("audio/wav", "application/octet-stream")]
    bodies = [(clip.read_bytes(), kinds[at % 2]) for at, clip in enumerate(made.clips)]
    return made.answers([made.client.post("/v1/predict", content=body, headers=kind).json() for body, kind in bodies])


WAYS: Sequence[Callable[[Made], list[Answer]]] = (
    of_bytes,
    of_arrays,
    of_one_array,
    of_a_list,
    of_a_list_backwards,
    of_a_folder,
    of_a_table,
    of_another_process,
    of_the_command_as_csv,
    of_the_command_as_json,
    of_the_command_as_parquet,
    of_an_upload,
    of_a_raw_body,
)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_in_gives_the_same_answer(
    made: Made, expected: list[Answer], way: Callable[[Made], list[Answer]]
) -> None:
    same(way(made), expected)


def windows_of_the_server(made: Made, clip: Path, seconds: float) -> pd.DataFrame:
    asked = f"/v1/segments?window={seconds}&hop={seconds}"
    (found,) = made.client.post(asked, files={"file": clip.read_bytes()}).json()["segments"]
    return pd.DataFrame([{**found, **found["probabilities"]}])


def windows_of_the_model(made: Made, clip: Path, seconds: float) -> pd.DataFrame:
    return made.model.segments(clip, window=seconds, hop=seconds).table


@pytest.mark.parametrize("way", [windows_of_the_model, windows_of_the_server], ids=lambda way: way.__name__)
def test_a_window_as_long_as_the_clip_has_its_answer(
    made: Made, expected: list[Answer], way: Callable[[Made, Path, float], pd.DataFrame]
) -> None:
    for clip, answer in list(zip(made.clips, expected, strict=True))[:-1]:  # windows are shorter than the last clip
        seconds = soundfile.info(clip).frames / soundfile.info(clip).samplerate
        (row,) = way(made, clip, seconds).to_dict("records")
        assert (row["start"], row["end"], row["label"]) == (0, seconds, answer.label)
        np.testing.assert_allclose([row[name] for name in made.model.classes], answer.values, rtol=0, atol=ROUNDING)


Spans = list[tuple[float, float, Any]]
"""Of utterances that have ended: first second, last second, and what was said of each."""


def heard_by_the_model(made: Made, samples: np.ndarray, rate: int) -> Spans:
    stream = made.model.stream(rate)
    events = [event for part in np.array_split(samples, 7) for event in stream.feed(part)] + stream.close()
    return [(event.start, event.end, event.answer) for event in events if event.kind == END]


def heard_by_the_server(made: Made, samples: np.ndarray, rate: int) -> Spans:
    parts = [part.tobytes() for part in np.array_split(samples, 5)]
    events, _ = spoken(made.client, *parts, {"type": "end"}, path=f"?rate={rate}")
    return [(event["start"], event["end"], event) for event in events if event["type"] == END]


@pytest.mark.parametrize("way", [heard_by_the_model, heard_by_the_server], ids=lambda way: way.__name__)
@pytest.mark.parametrize("rate", [8000, 44100])
def test_an_utterance_of_a_stream_has_the_answer_of_its_span(
    made: Made, tmp_path: Path, rate: int, way: Callable[[Made, np.ndarray, int], Spans]
) -> None:
    said = [part for seed in range(2) for part in (quiet(1, rate), speech(0.8 + seed, rate, seed=seed))]
    samples = np.rint(32767 * np.concatenate([*said, quiet(1, rate)])).astype("<i2")
    spans = way(made, samples, rate)
    files = [tmp_path / f"{at}.wav" for at in range(len(spans))]
    for file, (start, end, _) in zip(files, spans, strict=True):
        soundfile.write(file, samples[round(start * rate) : round(end * rate)], rate)
    assert len(spans) == 2
    same(made.answers([answer for *_, answer in spans]), made.alone(files))


@pytest.mark.slow
def test_a_model_in_onnx_gives_the_same_answers(made: Made, expected: list[Answer], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    export_checkpoint(checkpoint_of(made.run), tmp_path / "model.onnx")
    same(made.answers(ser.load(tmp_path / "model.onnx").predict(made.clips)), expected, EXPORTED)


@pytest.mark.slow
def test_a_program_of_torch_gives_the_same_probabilities(made: Made, expected: list[Answer], tmp_path: Path) -> None:
    export_checkpoint(checkpoint_of(made.run), tmp_path / "model.pt2", "torchexport")
    program = torch.export.load(tmp_path / "model.pt2").module(check_guards=False)
    for clip, answer in zip(made.clips, expected, strict=True):
        with open_recording(clip) as recording:
            pieces = read_decoded(recording, made.model.scorer.audio).parts
        waves = [torch.from_numpy(piece.waveform())[None] for piece in pieces]
        lengths = [wave.shape[1] for wave in waves]
        with torch.no_grad():
            found = [program(waveform=wave, lengths=torch.tensor([wave.shape[1]]))[0][0].numpy() for wave in waves]
        values = np.average(found, axis=0, weights=lengths)
        np.testing.assert_allclose(values, answer.values, rtol=0, atol=EXPORTED)
        assert made.model.classes[values.argmax()] == answer.label


def test_the_run_itself_gave_these_probabilities(made: Made) -> None:
    (fold,) = RunFolder(made.run).folds
    clips = planned(fold.settings).labelled.manifest.set_index("id")["path"]
    stored = fold.predictions
    found = made.model.predict(clips[stored["utterance"]].tolist(), calibrated=False)
    columns = [f"p_{name}" for name in made.model.classes]
    np.testing.assert_allclose(found[list(made.model.classes)], stored[columns], rtol=0, atol=ROUNDING)
    again = ser.evaluate(made.run, rescore=True)  # which scores the clips once more, and raises where a number differs
    pd.testing.assert_frame_equal(again.predictions, RunFolder(made.run).predictions)

"""`POST /v1/predict` and `/v1/segments`: the answers of `Predictor`, and a typed error for everything else."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from benchmarks import broken
from ser.audio.activity import can_detect_speech
from ser.inference.predictor import Predictor
from ser.inference.scorer import Clips, Scores
from ser.protocols.limits import NOT_FOR
from ser.serving.errors import STATUS
from tests.inference.conftest import speech
from tests.serving.conftest import failure, opened, service_of, until, wav

CLIP = wav(speech(1.0))
FFMPEG = shutil.which("ffmpeg")


def send(client: TestClient, content: bytes, path: str = "/v1/predict", **headers: str) -> httpx.Response:
    return client.post(path, content=content, headers={"Content-Type": "audio/wav", **headers})


def values(answer: dict[str, Any], model: Predictor) -> np.ndarray:
    return np.array([answer["probabilities"][name] for name in model.classes])


def test_answers_are_those_of_the_predictor_whatever_is_asked_at_the_same_time(
    client: TestClient, model: Predictor, tmp_path: Path
) -> None:
    stereo = np.stack([speech(35.0, 8000), speech(35.0, 8000, seed=1)], axis=1)
    files = [wav(speech(0.2 + 0.3 * i, seed=i)) for i in range(12)]
    files += [wav(stereo, 8000), wav(speech(2.0, 44100), 44100, "FLAC"), wav(speech(2.0), 16000, "MP3")]
    with ThreadPoolExecutor(len(files)) as pool:
        responses = list(pool.map(lambda content: send(client, content), files))
    for content, response in zip(files, responses, strict=True):
        (row,) = model.predict(content).to_dict("records")
        answer = response.json()
        assert response.status_code == 200, answer
        expected = np.array([row[name] for name in model.classes])
        np.testing.assert_allclose(values(answer, model), expected, rtol=0, atol=1e-6)
        assert {name: answer[name] for name in ("label", "set", "flags")} == {
            name: row[name] for name in ("label", "set", "flags")
        }
        assert (answer["model"], answer["calibrated"]) == ("default", True)
        assert (answer["stamps"], answer["not_for"]) == (list(model.stamps), NOT_FOR)
    assert responses[12].json()["seconds"] == 35.0
    sizes = client.get("/metrics").text
    assert f'ser_batch_size_sum{{model="default"}} {float(len(files))}' in sizes


def test_segments_are_those_of_the_predictor(client: TestClient, model: Predictor) -> None:
    samples = np.concatenate([speech(2.0), np.zeros(32000, np.float32), speech(1.0)])
    response = send(client, wav(samples), "/v1/segments?window=1&hop=0.5")
    table = model.segments(wav(samples), window=1, hop=0.5).table
    found = response.json()["segments"]
    assert [(one["start"], one["end"]) for one in found] == list(zip(table["start"], table["end"], strict=True))
    silent = [one["probabilities"] is None for one in found]
    assert silent == table["angry"].isna().tolist()
    assert any(silent)
    for one, row in zip(found, table.to_dict("records"), strict=True):
        assert one["label"] == row["label"]
        if one["label"]:
            np.testing.assert_allclose(values(one, model), [row[name] for name in model.classes], rtol=0, atol=1e-6)


@pytest.mark.skipif(not can_detect_speech(), reason="needs the extra vad")
def test_segments_without_speech_are_left_out_by_choice(client: TestClient, model: Predictor) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * 16000).astype(np.float32)
    found = send(client, wav(noise), "/v1/segments?window=1&hop=1&speech=true").json()["segments"]
    assert [(one["speech"], one["label"], one["probabilities"]) for one in found] == [(0.0, None, None)] * 3
    assert all(one["label"] for one in send(client, wav(noise), "/v1/segments?window=1&hop=1").json()["segments"])


@pytest.mark.parametrize(
    ("content", "headers", "path", "expected"),
    [
        (b"", {}, "", (400, "bad_audio")),
        (b"no audio at all", {}, "", (400, "bad_audio")),
        (CLIP[: len(CLIP) // 2], {}, "", (400, "bad_audio")),
        (wav(np.zeros(16000)), {}, "", (400, "bad_audio")),
        (b"\0\0\0\x18ftypM4A broken", {}, "", (400, "bad_audio") if FFMPEG else (415, "unsupported")),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", {}, "", (400, "bad_audio")),
        (wav(speech(21.0, 8000), 8000), {}, "", (413, "too_long")),
        (bytes(400_001), {}, "", (413, "too_large")),
        (CLIP, {"Content-Type": "text/plain"}, "", (415, "unsupported")),
        (CLIP, {"Content-Type": ""}, "", (415, "unsupported")),
        (CLIP, {"Content-Type": "multipart/form-data"}, "", (400, "bad_request")),
        (CLIP, {"Content-Type": "multipart/form-data; boundary=x"}, "", (400, "bad_request")),
        (CLIP, {}, "?model=other", (404, "not_found")),
        (CLIP, {}, "/v1/segments?hop=0", (422, "invalid")),
        (CLIP, {}, "/v1/segments?window=nan", (422, "invalid")),
        (CLIP, {}, "/v1/segments?window=1&hop=2", (422, "invalid")),
        (wav(speech(19.0, 8000), 8000), {}, "/v1/segments?hop=0.1", (422, "invalid")),
        (CLIP, {}, "/v1/nothing", (404, "not_found")),
        (CLIP, {}, "/health", (405, "method_not_allowed")),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_each_error_has_its_type(
    model: Predictor, content: bytes, headers: dict[str, str], path: str, expected: tuple[int, str]
) -> None:
    with opened(service_of(model, bytes=400_000, seconds=20, windows=100)) as client:
        response = send(client, content, path if path.startswith("/") else f"/v1/predict{path}", **headers)
    assert failure(response) == expected
    assert "/tmp" not in response.text


def test_a_form_without_its_file_is_refused(client: TestClient) -> None:
    assert failure(client.post("/v1/predict", files={"other": b"x"})) == (422, "invalid")
    assert failure(client.post("/v1/predict", data={"file": "x"}, files={"a": b""})) == (422, "invalid")
    several = [("file", ("a.wav", CLIP)), ("file", ("b.wav", CLIP))]
    assert failure(client.post("/v1/predict", files=several)) == (400, "bad_request")


def test_a_body_of_unknown_length_is_counted(model: Predictor) -> None:
    with opened(service_of(model, bytes=1000)) as client:
        response = client.post(
            "/v1/predict", content=iter([bytes(600), bytes(600)]), headers={"Content-Type": "audio/wav"}
        )
    assert failure(response) == (413, "too_large")


def test_a_small_file_that_stands_for_a_large_one_is_refused(client: TestClient) -> None:
    wide = wav(np.zeros((100_000, 8), np.int16), 96000, "FLAC")
    long = wav(np.zeros(301 * 8000, np.int16), 8000, "FLAC")
    assert max(len(wide), len(long)) < 20_000
    assert failure(send(client, wide)) == (413, "too_large")
    assert failure(send(client, long)) == (413, "too_long")


def test_broken_bodies_have_errors_of_the_client(client: TestClient) -> None:
    for body in broken.bodies(0, 300):
        response = send(client, body.content, body.path, **{"Content-Type": body.kind})
        assert response.status_code in (200, 400, 404, 413, 415, 422), (response.text, body)
        if response.status_code != 200:
            failure(response)


class Held:
    """A scorer that waits until it may answer, or fails."""

    def __init__(self, model: Predictor, error: Exception | None = None) -> None:
        self._scorer, self._error = model.scorer, error
        self.free, self.asked = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)

    def score(self, clips: Clips, *, embed: bool = False) -> Scores:
        self.asked.set()
        assert self.free.wait(60)
        if self._error is not None:
            raise self._error
        return self._scorer.score(clips, embed=embed)


def held_by(scorer: Held) -> Predictor:
    predictor = Predictor.__new__(Predictor)
    predictor.scorer = scorer  # type: ignore[assignment]
    return predictor


def metric(client: TestClient, name: str) -> float:
    return sum(
        float(line.rpartition(" ")[2]) for line in client.get("/metrics").text.splitlines() if line.startswith(name)
    )


def test_a_full_queue_answers_429_and_the_rest_is_answered(model: Predictor) -> None:
    scorer = Held(model)
    with (
        opened(service_of(held_by(scorer), size=1, delay_ms=0, queue=2, timeout_s=120)) as client,
        ThreadPoolExecutor(3) as pool,
    ):
        waiting = [pool.submit(send, client, CLIP)]
        until(scorer.asked.is_set)
        waiting += [pool.submit(send, client, CLIP) for _ in range(2)]
        until(lambda: metric(client, "ser_queue{") == 2)
        refused = send(client, CLIP)
        scorer.free.set()
        assert failure(refused) == (429, "queue_full")
        assert int(refused.headers["Retry-After"]) >= 1
        assert [task.result().status_code for task in waiting] == [200, 200, 200]


def test_too_many_at_once_and_too_many_in_a_minute_answer_429(model: Predictor) -> None:
    scorer = Held(model)
    with opened(service_of(held_by(scorer), concurrency=1, timeout_s=120)) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, client, CLIP)
        until(scorer.asked.is_set)
        refused = send(client, CLIP)
        scorer.free.set()
        assert failure(refused) == (429, "too_many_requests")
        assert first.result().status_code == 200
        assert send(client, CLIP).status_code == 200
    with opened(service_of(model, per_minute=2)) as client:
        statuses = [send(client, CLIP).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert 1 <= int(send(client, CLIP).headers["Retry-After"]) <= 30


def test_no_answer_in_time_is_504(model: Predictor) -> None:
    scorer = Held(model)
    with opened(service_of(held_by(scorer), timeout_s=0.3)) as client:
        response = send(client, CLIP)
        scorer.free.set()
    assert failure(response) == (504, "timeout")


def test_a_fault_of_the_model_is_500_without_its_words(model: Predictor) -> None:
    scorer = Held(model, RuntimeError("secret"))
    scorer.free.set()
    with opened(service_of(held_by(scorer))) as client:
        response = send(client, CLIP)
        assert metric(client, 'ser_requests_total{method="POST",route="/v1/predict",status="500"}') == 1
    assert failure(response) == (500, "internal")
    assert "secret" not in response.text


def test_every_kind_of_error_has_a_status() -> None:
    assert {400, 401, 413, 415, 422, 429, 503, 504} <= set(STATUS.values())


@pytest.mark.skipif(not FFMPEG, reason="no ffmpeg")
def test_formats_of_ffmpeg_are_cut_at_the_limit(model: Predictor, tmp_path: Path) -> None:
    import subprocess

    soundfile.write(tmp_path / "a.wav", speech(5.0), 16000)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", tmp_path / "a.webm"], check=True)
    content = (tmp_path / "a.webm").read_bytes()
    with opened(service_of(model, seconds=3)) as client:
        assert failure(send(client, content)) == (413, "too_long")
    with opened(service_of(model)) as client:
        assert send(client, content).json()["seconds"] == pytest.approx(5.0, abs=0.1)

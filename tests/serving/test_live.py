"""`WS /v1/stream`: events as they are described, the numbers of `Predictor`, and a typed error for what breaks a rule."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import ser.serving
from benchmarks import broken
from ser.audio import activity
from ser.audio.activity import can_detect_speech
from ser.inference.predictor import Predictor
from ser.inference.scorer import Clips, Scores
from ser.inference.stream import END, MEASUREMENT, START, Event
from ser.serving.errors import STATUS
from ser.serving.live import ENDING
from tests.inference.test_stream import RATE, heard, talk
from tests.serving.conftest import listening, opened, service_of, until
from tests.serving.test_predict import Held, held_by, metric

DESCRIPTION = yaml.safe_load((Path(ser.serving.__file__).parent / "asyncapi.yaml").read_text())
SCHEMAS = DESCRIPTION["components"]["schemas"]
Spoken = tuple[list[dict[str, Any]], int]
"""The messages of a server, and the code with which it closed."""
PCM = np.rint(32767 * talk()).astype("<i2")


def received(socket: WebSocketTestSession) -> Spoken:
    """All messages until the server closes, each as it is described, and the code."""
    events = []
    try:
        while True:
            event = socket.receive_json()
            jsonschema.validate(event, SCHEMAS[event["type"]])
            events.append(event)
    except WebSocketDisconnect as closed:
        return events, closed.code


def spoken(client: TestClient, *messages: bytes | dict[str, Any] | str, path: str = "", **headers: str) -> Spoken:
    with client.websocket_connect(f"/v1/stream{path}", headers=headers) as socket:
        for message in messages:
            if isinstance(message, bytes):
                socket.send_bytes(message)
            else:
                socket.send_text(message if isinstance(message, str) else json.dumps(message))
        return received(socket)


def failed(found: Spoken) -> tuple[str, int]:
    events, code = found
    assert events[-1]["error"]["type"] in STATUS
    return events[-1]["error"]["type"], code


@pytest.mark.parametrize("path", ["", f"?rate={RATE}&window=0.7&hop=0.3"])
def test_events_are_those_of_a_stream(client: TestClient, model: Predictor, path: str) -> None:
    start = {"type": "start", "rate": RATE, "window": 0.7, "hop": 0.3}
    jsonschema.validate(start, SCHEMAS["start"])
    chunks = [PCM[at : at + 3001].tobytes() for at in range(0, len(PCM), 3001)]
    events, code = spoken(client, *([] if path else [start]), *chunks, {"type": "end"}, path=path)
    assert code == 1000
    assert events[0]["type"] == "ready"
    assert events[0]["stamps"] == list(model.stamps)
    expected = heard(model, PCM, window=0.7, hop=0.3)
    assert {event.kind for event in expected} == {START, MEASUREMENT, END}
    same(events[1:], expected, model)


def same(events: list[dict[str, Any]], expected: list[Event], model: Predictor) -> None:
    assert [(one["type"], one["start"], one["end"]) for one in events] == [(e.kind, e.start, e.end) for e in expected]
    for one, event in zip(events, expected, strict=True):
        if event.answer is not None:
            assert one["probabilities"] == {name: event.answer[name] for name in model.classes}
            assert [one[name] for name in ("label", "set", "flags")] == [
                event.answer[name] for name in ("label", "set", "flags")
            ]


def test_a_server_that_ends_tells_first_what_a_stream_has_heard(model: Predictor) -> None:
    begun = PCM[: round(1.8 * RATE)]  # within the first utterance
    events: list[dict[str, Any]] = []
    with (
        listening(service_of(model)) as (server, port),
        connect(f"ws://127.0.0.1:{port}/v1/stream?rate={RATE}") as client,
    ):
        client.send(begun.tobytes())
        with suppress(ConnectionClosed):
            while True:
                events.append(json.loads(client.recv(60)))
                server.should_exit = server.should_exit or events[-1]["type"] == START
        assert client.close_code == ENDING
    expected = heard(model, begun)
    assert expected[-1].kind == END
    same(events[1:], expected, model)


START_MESSAGE = {"type": "start", "rate": RATE}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([b"\0\0"], ("invalid", 1008)),
        (["not json"], ("invalid", 1008)),
        (["[]"], ("invalid", 1008)),
        (["[" * 100_000], ("invalid", 1008)),
        ([{"type": "start"}], ("invalid", 1008)),
        ([{"type": "start", "rate": 7}], ("invalid", 1008)),
        ([{"type": "start", "rate": "NaN"}], ("invalid", 1008)),
        ([{"rate": RATE, "other": 1}], ("invalid", 1008)),
        ([{"rate": RATE, "model": "other"}], ("not_found", 1008)),
        ([START_MESSAGE, b"\0"], ("bad_audio", 1008)),
        ([START_MESSAGE, "{}"], ("invalid", 1008)),
        ([START_MESSAGE, START_MESSAGE], ("invalid", 1008)),
        ([START_MESSAGE, bytes(300_000)], ("too_large", 1009)),
    ],
)
def test_what_breaks_a_rule_is_told(model: Predictor, messages: list[Any], expected: tuple[str, int]) -> None:
    with opened(service_of(model, bytes=200_000)) as client:
        assert failed(spoken(client, *messages)) == expected


def test_broken_messages_are_never_a_fault_of_the_server(client: TestClient) -> None:
    for said in broken.talks(0, 100):
        events, code = spoken(client, *said.messages, "stop")
        assert code in (1000, 1008)
        assert not events or events[-1].get("error", {}).get("type") != "internal"


def test_a_stream_needs_a_key_where_there_are_keys(model: Predictor) -> None:
    with opened(service_of(model, keys=("one",))) as client:
        assert failed(spoken(client, START_MESSAGE)) == ("unauthorized", 1008)
        for events, code in (
            spoken(client, {**START_MESSAGE, "key": "one"}, {"type": "end"}),
            spoken(client, START_MESSAGE, {"type": "end"}, authorization="Bearer one"),
        ):
            assert ([event["type"] for event in events], code) == (["ready"], 1000)


def test_pages_of_other_sites_are_refused(client: TestClient) -> None:
    end = {"type": "end"}
    assert failed(spoken(client, START_MESSAGE, end, origin="https://example.org")) == ("forbidden", 1008)
    assert spoken(client, START_MESSAGE, end, origin="http://testserver")[1] == 1000


def test_streams_are_counted_and_silent_ones_end(model: Predictor) -> None:
    with opened(service_of(model, streams=1, idle_s=1)) as client:
        with client.websocket_connect("/v1/stream?rate=16000") as socket:
            assert socket.receive_json()["type"] == "ready"
            assert metric(client, "ser_streams") == 1
            assert failed(spoken(client, START_MESSAGE)) == ("too_many_requests", 1013)
            assert failed(received(socket)) == ("timeout", 1008)
        with client.websocket_connect("/v1/stream?rate=16000") as socket:
            assert socket.receive_json()["type"] == "ready"  # and the client leaves
        until(lambda: metric(client, "ser_streams") == 0)


@pytest.mark.slow
def test_a_stream_that_is_scored_too_slowly_is_told_how_far_behind_it_is(model: Predictor) -> None:
    slow = Slow(model)
    start = {**START_MESSAGE, "window": 0.5, "hop": 0.3}
    said = PCM[: 2 * RATE]
    chunks = [part.tobytes() for part in np.array_split(said, 20)]
    with opened(service_of(Predictor(slow))) as client:  # type: ignore[arg-type]
        events, code = spoken(client, start, *chunks, {"type": "end"})
    late = [event["seconds"] for event in events if event["type"] == "behind"]
    assert code == 1000
    assert len(late) > 1
    assert late == sorted(late)
    assert late[-1] > slow.scored * Slow.SECONDS - len(said) / RATE - 1.5  # and more on a busy machine
    assert [event for event in spoken_at_once(model, start)[0] if event["type"] == "behind"] == []


def spoken_at_once(model: Predictor, start: dict[str, Any]) -> Spoken:
    with opened(service_of(model)) as client:
        return spoken(client, start, PCM.tobytes(), {"type": "end"})


class Slow(Held):
    """Takes longer for a batch than its hop is."""

    SECONDS = 0.7

    def __init__(self, model: Predictor) -> None:
        super().__init__(model)
        self.free.set()
        self.scored = 0

    def score(self, clips: Clips, *, embed: bool = False) -> Scores:
        time.sleep(self.SECONDS)
        self.scored += 1
        return super().score(clips, embed=embed)


@pytest.mark.skipif(not can_detect_speech(), reason="needs the extra vad")
def test_speech_can_be_found_by_the_detector(client: TestClient, model: Predictor) -> None:
    events, _ = spoken(client, {**START_MESSAGE, "detector": "speech"}, PCM.tobytes(), {"type": "end"})
    same(events[1:], heard(model, PCM, detector="speech"), model)


def test_a_detector_that_is_not_installed_is_told(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "can_detect_speech", lambda: False)
    activity._session.cache_clear()
    assert failed(spoken(client, {**START_MESSAGE, "detector": "speech"})) == ("invalid", 1008)


def test_a_fault_of_the_model_is_told_without_its_words(model: Predictor) -> None:
    scorer = Held(model, RuntimeError("secret"))
    scorer.free.set()
    with opened(service_of(held_by(scorer))) as client:
        found = spoken(client, START_MESSAGE, PCM.tobytes())
    assert failed(found) == ("internal", 1011)
    assert "secret" not in str(found)


def test_the_description_is_served_and_has_every_message(client: TestClient) -> None:
    assert yaml.safe_load(client.get("/asyncapi.yaml").text) == DESCRIPTION
    names = {
        name.rpartition("/")[2]
        for name in json.dumps(DESCRIPTION).split('"')
        if name.startswith("#/components/schemas/")
    }
    assert names == set(SCHEMAS)
    for message in DESCRIPTION["channels"]["stream"]["messages"]:
        assert message in DESCRIPTION["components"]["messages"]
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)

"""Keys, other sites, models that are being loaded, several models, what is counted and logged, and the end of a server."""

import json
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi.testclient import TestClient

from ser.errors import ConfigError
from ser.inference.predictor import Predictor
from ser.protocols.limits import NOT_FOR
from ser.serving.access import MOST_CLIENTS, Allowance, keys_of_environment
from ser.serving.errors import ServingError
from ser.serving.logs import JsonLines
from ser.serving.server import listen, named_models
from tests.inference.conftest import speech
from tests.serving.conftest import FACTS, failure, listening, opened, service_of, until, wav
from tests.serving.test_predict import CLIP, Held, held_by, metric, send


def test_a_key_is_needed_where_there_are_keys(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SER_API_KEYS", "one, other,")
    assert keys_of_environment() == ("one", "other")
    with opened(service_of(model, keys=keys_of_environment())) as client:
        for path in ("/v1/models", "/metrics"):
            assert failure(client.get(path)) == (401, "unauthorized")
        for wrong in ({}, {"Authorization": "Bearer on"}, {"X-API-Key": b"\xf6ne"}, {"Authorization": "Basic one"}):
            response = client.post("/v1/predict", content=CLIP, headers=wrong)
            assert failure(response) == (401, "unauthorized")
            assert response.headers["WWW-Authenticate"] == "Bearer"
        assert send(client, CLIP, Authorization="bearer other").status_code == 200
        assert send(client, CLIP, **{"X-API-Key": "one"}).status_code == 200
        assert [client.get(path).status_code for path in ("/health", "/ready", "/openapi.json")] == [200, 200, 200]


def test_clients_are_counted_by_key_and_the_count_is_bounded() -> None:
    now = [0.0]
    allowance = Allowance(60, lambda: now[0])
    for number in range(MOST_CLIENTS + 10):
        allowance.take(str(number))
    for _ in range(60):
        allowance.take("a")
    with pytest.raises(ServingError, match="60 requests in a minute"):
        allowance.take("a")
    allowance.take("b")
    now[0] = 1.0
    allowance.take("a")
    with pytest.raises(ServingError):
        allowance.take("a")
    assert len(allowance._left) == MOST_CLIENTS


def test_other_sites_may_ask_only_where_they_are_named(model: Predictor) -> None:
    origin = {"Origin": "https://example.org"}
    with opened(service_of(model)) as client:
        assert "access-control-allow-origin" not in send(client, CLIP, **origin).headers
    with opened(service_of(model), cors=("https://example.org",)) as client:
        assert send(client, CLIP, **origin).headers["access-control-allow-origin"] == "https://example.org"
        other = send(client, CLIP, Origin="https://example.com")
        assert "access-control-allow-origin" not in other.headers


def test_requests_wait_for_the_model(model: Predictor) -> None:
    free = threading.Event()

    def load() -> tuple[Predictor, dict[str, object]]:
        assert free.wait(60)
        return model, {}

    with opened(service_of(loaders={"default": load}), wait=False) as client:
        assert client.get("/health").status_code == 200
        for response in (client.get("/ready"), client.get("/v1/models"), send(client, CLIP)):
            assert failure(response) == (503, "unavailable")
            assert response.headers["Retry-After"] == "5"
        free.set()
        until(lambda: client.get("/ready").status_code == 200)
        assert send(client, CLIP).status_code == 200


def test_a_model_that_cannot_be_loaded_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Exception] = []

    def load() -> tuple[Predictor, dict[str, object]]:
        raise ConfigError("The model must be adapted.")

    service = service_of(loaders={"default": load})
    service._failed = told.append
    with caplog.at_level(logging.ERROR), opened(service, wait=False):
        until(lambda: bool(told))
    assert isinstance(told[0], ConfigError)
    assert "The model must be adapted." in caplog.text


def test_models_are_chosen_by_name(model: Predictor) -> None:
    loaders = {"calls": lambda: (model, FACTS), "acted": lambda: (model, {})}
    with opened(service_of(loaders=loaders)) as client:
        first, other = client.get("/v1/models").json()
        assert (first["name"], other["name"]) == ("calls", "acted")
        assert first["classes"] == list(model.classes)
        assert first["sample_rate"] == 16000
        assert first["stamps"] == ["random split"]
        assert (first["trained_on"], other["trained_on"]) == (FACTS["trained_on"], None)
        assert first["not_for"] == NOT_FOR
        assert send(client, CLIP).json()["model"] == "calls"
        assert send(client, CLIP, "/v1/predict?model=acted").json()["model"] == "acted"


def test_a_server_needs_a_model() -> None:
    with pytest.raises(ConfigError, match="model must be the folder of a run; got none"):
        named_models({"model": {"path": None}, "models": None})


def test_an_address_that_is_taken_is_named() -> None:
    with (
        listen("127.0.0.1", 0) as taken,
        pytest.raises(ConfigError, match=r"free address of this machine; got 127\.0\.0\.1"),
    ):
        listen("127.0.0.1", taken.getsockname()[1])
    for port in (70000, "x"):
        with pytest.raises(ConfigError, match="host and port must be"):
            listen("127.0.0.1", port)  # type: ignore[arg-type]


def test_what_is_counted(model: Predictor) -> None:
    with opened(service_of(model)) as client:
        send(client, CLIP)
        send(client, b"broken")
        client.get("/no/such/page")
        labels = '{method="POST",route="/v1/predict",status="%d"}'
        assert metric(client, f"ser_requests_total{labels % 200}") == 1
        assert metric(client, f"ser_requests_total{labels % 400}") == 1
        assert metric(client, 'ser_requests_total{method="GET",route="other",status="404"}') == 1
        assert metric(client, 'ser_request_seconds_count{route="/v1/predict"}') == 2
        assert metric(client, "ser_audio_seconds_total") == 1.0
        assert metric(client, 'ser_batch_size_count{model="default"}') == 1
        assert metric(client, "ser_queue{") == 0


def test_the_log_has_no_names(model: Predictor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ser.serving"), opened(service_of(model)) as client:
        client.post("/v1/predict?x=private", files={"file": ("private.wav", CLIP)})
        client.post("/v1/segments", files={"file": ("private.wav", wav(speech(3.0)))})
    lines = [JsonLines().format(record) for record in caplog.records if record.name.startswith("ser.")]
    assert not [line for line in lines if "private" in line]
    found = [json.loads(line) for line in lines]
    asked = [one for one in found if one["event"] == "request" and one["route"] == "/v1/predict"]
    assert [(one["method"], one["status"]) for one in asked] == [("POST", 200)]
    assert asked[0]["ms"] > 0


def test_notes_that_libraries_put_into_records_are_not_logged() -> None:
    record = logging.makeLogRecord({"msg": "request", "status": 200, "_ray_timestamp_ns": 1})
    assert list(json.loads(JsonLines().format(record))) == ["time", "level", "event", "status"]


def test_a_server_that_ends_answers_what_it_accepted(model: Predictor) -> None:
    scorer = Held(model)
    service = service_of(held_by(scorer), size=1, delay_ms=0, timeout_s=120)
    with listening(service) as (server, port), ThreadPoolExecutor(3) as pool:
        address = f"http://127.0.0.1:{port}/v1/predict"
        asked = [pool.submit(httpx.post, address, files={"file": CLIP}, timeout=120) for _ in range(3)]
        until(lambda: service.served(None)._batcher.waiting() == 2)
        server.should_exit = True
        scorer.free.set()
        assert [task.result().status_code for task in asked] == [200, 200, 200]


def test_a_client_that_leaves_is_not_scored(model: Predictor) -> None:
    scorer = Held(model)
    service = service_of(held_by(scorer), size=1, delay_ms=0, timeout_s=120)
    with listening(service) as (_, port):
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nContent-Length: {len(CLIP)}\r\n\r\n"
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        for client in clients:
            client.sendall(head.encode() + CLIP)
        until(lambda: service.served(None)._batcher.waiting() == 2)
        for client in clients:
            client.close()
        until(lambda: service.requests.taken == 0)
        scorer.free.set()
    assert 'ser_batch_size_count{model="default"} 1.0' in service.meters.text().decode()


def test_the_description_of_the_api_is_whole(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert {"/health", "/ready", "/metrics", "/v1/models", "/v1/predict", "/v1/segments"} <= set(described["paths"])
    responses = described["paths"]["/v1/predict"]["post"]["responses"]
    assert {"200", "400", "401", "413", "415", "422", "429", "503", "504"} <= set(responses)
    for status, response in responses.items():
        if status != "200":
            assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Failed"}
            assert set(response["content"]["application/json"]["example"]["error"]) == {"type", "message"}

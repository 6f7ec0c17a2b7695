"""A server keeps to its own description, whatever is sent."""

import socket
import threading

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from ser.inference.predictor import Predictor
from ser.serving.app import create_app
from tests.serving.conftest import service_of
from tests.serving.test_predict import until

CHECKS = [not_a_server_error, response_schema_conformance, status_code_conformance]


@pytest.mark.slow
def test_answers_are_as_described(model: Predictor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        service = service_of(model, per_minute=1e9)
        server = uvicorn.Server(uvicorn.Config(create_app(service), log_config=None))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        until(lambda: server.started and service.ready)
        tried = 0
        try:
            for found in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations():

                @settings(
                    max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
                )
                @given(case=found.ok().as_strategy())
                def keeps_to_it(case: schemathesis.Case) -> None:
                    nonlocal tried
                    tried += 1
                    case.call_and_validate(checks=CHECKS)

                keeps_to_it()
        finally:
            server.should_exit = True
            thread.join(60)
    assert tried >= 20

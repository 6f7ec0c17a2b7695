"""A server keeps to its own description, whatever is sent."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from ser.inference.predictor import Predictor
from tests.serving.conftest import listening, service_of

CHECKS = [not_a_server_error, response_schema_conformance, status_code_conformance]


@pytest.mark.slow
def test_answers_are_as_described(model: Predictor) -> None:
    tried = 0
    with listening(service_of(model, per_minute=1e9)) as (_, port):
        described = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
        for found in described.get_all_operations():

            @settings(max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
            @given(case=found.ok().as_strategy())
            def keeps_to_it(case: schemathesis.Case) -> None:
                nonlocal tried
                tried += 1
                case.call_and_validate(checks=CHECKS)

            keeps_to_it()
    assert tried >= 20

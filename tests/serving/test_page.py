"""The page: one file, nothing from other hosts, and only routes that there are."""

import re

from fastapi.testclient import TestClient


def test_page_takes_nothing_from_other_hosts(client: TestClient) -> None:
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert not re.findall(r"""(?:https?:)?//\w|<link|<img|\bsrc=|@import|innerHTML""", response.text)


def test_page_asks_for_routes_that_there_are(client: TestClient) -> None:
    asked = set(re.findall(r"/v1/\w+", client.get("/").text))
    assert asked == {"/v1/models", "/v1/predict", "/v1/segments", "/v1/stream"}
    assert asked - {"/v1/stream"} <= set(client.get("/openapi.json").json()["paths"])


def test_page_reads_what_is_answered(client: TestClient) -> None:
    text = client.get("/").text
    (model,) = client.get("/v1/models").json()
    for name in ("classes", "stamps", "sample_rate", "trained_on", "numeric", "score", "not_for", "name"):
        assert name in model
        assert re.search(rf"\bone\.{name}\b", text), name

"""The image and its composition: only files that there are, no rights, and a check of a route of the server."""

import json
import re
import shlex
from pathlib import Path

import yaml
from fastapi.testclient import TestClient

from ser.runtime.composition import composed

ROOT = Path(__file__).parents[2]
LINES = [line.split(maxsplit=1) for line in re.findall(r"^[A-Z]+ .*", (ROOT / "Dockerfile").read_text(), flags=re.M)]


def test_image_holds_what_the_wheel_needs() -> None:
    copied = [word for kind, rest in LINES if kind == "COPY" for word in shlex.split(rest)[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == kept


def test_image_runs_as_a_user_and_checks_the_server(client: TestClient) -> None:
    kinds = [kind for kind, _ in LINES]
    assert kinds.index("USER") < kinds.index("CMD")
    (health,) = [rest for kind, rest in LINES if kind == "HEALTHCHECK"]
    (route,) = re.findall(r"http://127\.0\.0\.1:8000(/\w+)", health)
    assert client.get(route).status_code == 200
    (line,) = [json.loads(rest) for kind, rest in LINES if kind == "CMD"]
    assert line[:3] == ["python", "-m", "ser.serve"]
    assert composed("serve", line[3:]).model.path == "/model"


def test_composition_gives_few_rights() -> None:
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["tmpfs"] == ["/tmp"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert all(volume.endswith(":ro") for volume in service["volumes"])

"""docs/reference/http-api.* against the application."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from srx_service.api.app import routes
from srx_service.api.line import ApiSettings
from srx_service.api.openapi import document
from srx_service.api.problems import MEDIA_TYPE

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
PAGE = (REFERENCE / "http-api.md").read_text()
EXAMPLES = re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", PAGE, re.DOTALL)


def test_the_openapi_in_the_docs_is_that_of_the_application():
    remedy = "python -m srx_service.api > docs/reference/http-api.yaml"
    assert (REFERENCE / "http-api.yaml").read_text() == document(), remedy


def test_every_route_is_in_the_table():
    paths = routes(ApiSettings()).openapi()["paths"]
    missing = [path for path in [*paths, "/api/v1/live"] if path not in PAGE]
    assert set(missing) <= {"/api/v1/frame/latest.jpg"}  # told beside .png


@pytest.mark.parametrize(("method", "path", "body"), EXAMPLES)
def test_every_example_is_answered(ask, latest, method, path, body):
    latest.show(np.zeros((8, 8)))
    path = path.replace("wait_frames=10", "wait_frames=0")
    request = {"json": json.loads(body)} if body else {}
    assert ask(method, path, **request).status_code in {200, 201}


def test_the_example_of_a_problem_is_the_answer(ask):
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert ask("GET", "/api/v1/frame/latest").json() == json.loads(example)


def test_every_operation_may_answer_with_a_problem():
    for path in routes(ApiSettings()).openapi()["paths"].values():
        for operation in path.values():
            assert list(operation["responses"]["4XX"]["content"]) == [MEDIA_TYPE]
            assert "422" not in operation["responses"]

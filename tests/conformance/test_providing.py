"""The provider of the tests as the conformance run starts it, and a config that the gateway takes."""

import json
import urllib.request

import pytest

from conformance import providing
from gateway.config import models

pytestmark = pytest.mark.process


def test_a_provider_that_serves_and_is_ended() -> None:
    with providing.provider() as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=10) as answer:
            assert providing.MODEL in [each["id"] for each in json.load(answer)["data"]]
        tree = providing.config(port)
    first, *_ = models.chain(tree, lambda _: None, "main")
    assert (first.provider, first.id) == ("mock", providing.MODEL)
    names = [each.name for each in models.list_models(tree, lambda _: None)]
    assert names == [providing.NAME, providing.OTHER_NAME]

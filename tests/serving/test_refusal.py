import json

import pytest

from gateway.serving.refusal import response


@pytest.mark.parametrize("status", [400, 408, 413, 431, 503])
@pytest.mark.parametrize("api", [False, True])
def test_it_says_how_long_it_is_and_that_it_is_the_last(status: int, api: bool) -> None:
    head, body = response(status, "Not this way", api).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and b"connection: close" in head
    assert b"content-length: %d\r\n" % len(body) in head
    assert (b"retry-after: 1" in head) is (status == 503)


def test_an_apis_client_reads_the_error_of_its_api() -> None:
    assert json.loads(response(400, "No", api=True).split(b"\r\n\r\n")[1]) == {
        "error": {"message": "No", "type": "invalid_request_error"}
    }
    assert b'"api_error"' in response(503, "Later", api=True)
    assert response(400, "No", api=False).endswith(b"\r\n\r\nBad Request: No\n")

"""The response to a request that is refused before the application sees it. Pure."""

import json
from http import HTTPStatus


def response(status: int, text: str, api: bool) -> bytes:
    """After it the connection is closed. `api`: the body is an error in the form of OpenAI's API."""
    phrase = HTTPStatus(status).phrase
    body, kind = f"{phrase}: {text}\n".encode(), b"text/plain; charset=utf-8"
    if api:
        why = {"message": text, "type": "invalid_request_error" if status < 500 else "api_error"}
        body, kind = json.dumps({"error": why}).encode(), b"application/json"
    head = [
        b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode()),
        b"content-type: %b\r\n" % kind,
        b"content-length: %d\r\n" % len(body),
        b"retry-after: 1\r\n" if status == 503 else b"",
        b"connection: close\r\n\r\n",
    ]
    return b"".join(head) + body

"""Requests of OpenAI's library, sent as pydantic-ai writes them.

The library compares each message of a conversation with each type that a message may have, to rename fields and to
encode files. pydantic-ai leaves neither to it. The comparison takes more than half a millisecond for each message, on
the event loop, before each request.
"""

from typing import Any

from openai import AsyncOpenAI, AsyncStream, NotGiven, Omit
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

_OPTIONS = {"extra_headers": "headers", "extra_body": "extra_json", "timeout": "timeout"}
"""Parameters that are no part of the body -> their names among the options of a request."""


def send_plainly(client: AsyncOpenAI) -> None:
    """Have `create` of chat completions and of responses send their parameters without comparing them with types."""

    async def create_completion(**params: Any) -> Any:
        return await _post(client, "/chat/completions", params, ChatCompletion, AsyncStream[ChatCompletionChunk])

    async def create_response(**params: Any) -> Any:
        return await _post(client, "/responses", params, Response, AsyncStream[ResponseStreamEvent])

    client.chat.completions.create = create_completion  # type: ignore[method-assign]  # they are kept with the client
    client.responses.create = create_response  # type: ignore[method-assign]


async def _post(client: AsyncOpenAI, path: str, params: dict[str, Any], cast_to: Any, stream_cls: Any) -> Any:
    given = {name: value for name, value in params.items() if not isinstance(value, Omit | NotGiven)}
    options: Any = {option: given.pop(name) for name, option in _OPTIONS.items() if given.get(name) is not None}
    body = {name: value for name, value in given.items() if name not in _OPTIONS}
    stream = bool(body.get("stream"))
    return await client.post(path, cast_to=cast_to, body=body, options=options, stream=stream, stream_cls=stream_cls)

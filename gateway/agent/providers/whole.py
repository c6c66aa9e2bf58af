"""An answer in one piece, as the events of the stream that its library reads. Pure."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from gateway.agent.providers.events import named_event

Json = dict[str, Any]


def whole_response(response: Json) -> Iterator[bytes]:
    numbers = count()

    def event(kind: str, **more: Any) -> bytes:
        return named_event({"type": f"response.{kind}", "sequence_number": next(numbers), **more})

    yield event("created", response={**response, "status": "in_progress", "output": []})
    output = response.get("output")
    for at, item in enumerate(output if isinstance(output, list) else []):
        where = {"item_id": item.get("id") or f"item_{at}", "output_index": at}
        if item.get("type") == "function_call":
            yield event("output_item.added", output_index=at, item={**item, "arguments": ""})
            yield event("function_call_arguments.delta", **where, delta=item.get("arguments") or "{}")
        elif item.get("type") == "message":
            yield event("output_item.added", output_index=at, item={**item, "content": []})
            for number, part in enumerate(item.get("content") or []):
                place = {**where, "content_index": number}
                if part.get("type") == "output_text":
                    yield event("content_part.added", **place, part={**part, "text": ""})
                    yield event("output_text.delta", **place, delta=part.get("text") or "", logprobs=[])
        else:
            yield event("output_item.added", output_index=at, item=item)
        yield event("output_item.done", output_index=at, item=item)
    status = response.get("status")
    yield event(status if status in ("incomplete", "failed") else "completed", response=response)


def whole_message(message: Json) -> Iterator[bytes]:
    usage = message.get("usage") or {"input_tokens": 0, "output_tokens": 0}
    begun = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield named_event({"type": "message_start", "message": begun})
    for at, block in enumerate(message.get("content") or []):
        bare, deltas = _split_block(block)
        yield named_event({"type": "content_block_start", "index": at, "content_block": bare})
        for delta in deltas:
            yield named_event({"type": "content_block_delta", "index": at, "delta": delta})
        yield named_event({"type": "content_block_stop", "index": at})
    ending = {"stop_reason": message.get("stop_reason") or "end_turn", "stop_sequence": message.get("stop_sequence")}
    counted = {"output_tokens": usage.get("output_tokens", 0)}
    yield named_event({"type": "message_delta", "delta": ending, "usage": counted})
    yield named_event({"type": "message_stop"})


def _split_block(block: Json) -> tuple[Json, list[Json]]:
    """A whole content block as the block that starts, and the deltas that fill it."""
    match block.get("type"):
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": block.get("text") or ""}]
        case "tool_use":
            arguments = json.dumps(block.get("input") or {})
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": arguments}]
        case "thinking":
            deltas: list[Json] = [{"type": "thinking_delta", "thinking": block.get("thinking") or ""}]
            if block.get("signature"):
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return {**block, "thinking": "", "signature": ""}, deltas
        case _:
            return block, []

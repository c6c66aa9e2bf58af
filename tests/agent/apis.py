"""The streaming protocols of model providers, as the fake one speaks them: requests read, answers in pieces."""

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any, Protocol

from tests.agent.script import Heard, Script

Json = dict[str, Any]


OPENCLAWS_OWN = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>"
"""How a message begins that OpenClaw puts behind the user's, in the user's name."""


class Dialect(Protocol):
    def hear(self, path: str, body: Json) -> Heard: ...
    def pieces(self, model: str, script: Script) -> Iterator[bytes]: ...
    def broken(self) -> bytes:
        """An error inside a stream."""
        ...

    def error(self, status: int, kind: str, message: str) -> Json: ...


def data(event: Json | str) -> bytes:
    return f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()


def named(event: Json) -> bytes:
    return f"event: {event['type']}\n".encode() + data(event)


def text_of(content: Any) -> str:
    """The text of a string, or of blocks that have one."""
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content or [] if isinstance(block, dict) and "text" in block)


class Completions:
    """OpenAI's chat completions."""

    def hear(self, path: str, body: Json) -> Heard:
        messages = body["messages"]
        last = max((n for n, message in enumerate(messages) if message["role"] == "user"), default=0)
        while last and text_of(messages[last]["content"]).startswith(OPENCLAWS_OWN):
            last -= 1
        content = messages[last]["content"]
        images = 0 if isinstance(content, str) else sum(block["type"] == "image_url" for block in content)
        results = [text_of(message["content"]) for message in messages[last + 1 :] if message["role"] == "tool"]
        tools = [tool["function"]["name"] for tool in body.get("tools", [])]
        return Heard(body["model"], text_of(content), results, tools, images)

    def pieces(self, model: str, script: Script) -> Iterator[bytes]:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": model}

        def chunk(delta: Json, finish: str | None = None) -> bytes:
            return data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

        for number, thought in enumerate(script.thinking):
            yield chunk({"reasoning_content": thought} | ({} if number else {"role": "assistant"}))
        for word in script.text:
            yield chunk({"content": word})
        if script.call:
            function = {"name": script.call.name, "arguments": ""}
            yield chunk({"tool_calls": [{"index": 0, "id": script.call.id, "type": "function", "function": function}]})
            arguments = json.dumps(script.call.args)
            for part in (arguments[:3], arguments[3:]):
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        finish = {"tool": "tool_calls", "filter": "content_filter"}.get(script.finish, script.finish)
        usage = {
            "prompt_tokens": script.prompt_tokens + 100,
            "completion_tokens": script.completion_tokens,
            "total_tokens": script.prompt_tokens + 100 + script.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 100},
        }
        yield chunk({}, finish) + data({**head, "choices": [], "usage": usage}) + data("[DONE]")

    def broken(self) -> bytes:
        return data({"error": {"message": "The server had an error", "type": "server_error", "code": "server_error"}})

    def error(self, status: int, kind: str, message: str) -> Json:
        return {"error": {"message": message, "type": kind, "param": None, "code": kind}}


class Responses:
    """OpenAI's responses."""

    def hear(self, path: str, body: Json) -> Heard:
        items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
        last = max((n for n, item in enumerate(items) if item.get("role") == "user"), default=0)
        content = items[last].get("content")
        images = 0 if isinstance(content, str) else sum(block["type"] == "input_image" for block in content or [])
        outputs = [item["output"] for item in items[last + 1 :] if item.get("type") == "function_call_output"]
        tools = [tool["name"] for tool in body.get("tools", [])]
        return Heard(body["model"], text_of(content), [text_of(output) for output in outputs], tools, images)

    def pieces(self, model: str, script: Script) -> Iterator[bytes]:
        numbers = itertools.count()
        items: list[Json] = []
        head = {"id": "resp_1", "object": "response", "created_at": int(time.time()), "model": model}
        options = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}

        def event(kind: str, **more: Any) -> bytes:
            return named({"type": kind, "sequence_number": next(numbers), **more})

        def whole(status: str, **more: Any) -> Json:
            return {**head, **options, "status": status, "output": items, **more}

        opening = event("response.created", response=whole("in_progress"))
        if script.thinking:
            at: Json = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
            reasoning: Json = {"id": "rs_1", "type": "reasoning", "summary": []}
            opening += event("response.output_item.added", output_index=0, item=reasoning)
            opening += event("response.reasoning_summary_part.added", **at, part={"type": "summary_text", "text": ""})
            for thought in script.thinking:
                yield opening + event("response.reasoning_summary_text.delta", **at, delta=thought)
                opening = b""
            done = {**reasoning, "summary": [{"type": "summary_text", "text": "".join(script.thinking)}]}
            items.append(done)
            opening = event("response.output_item.done", output_index=0, item=done)
        if script.text:
            at = {"item_id": "msg_1", "output_index": len(items), "content_index": 0}
            message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress"}
            added = event("response.output_item.added", output_index=len(items), item={**message, "content": []})
            part: Json = {"type": "output_text", "text": "", "annotations": []}
            opening += added + event("response.content_part.added", **at, part=part)
            for word in script.text:
                yield opening + event("response.output_text.delta", **at, delta=word, logprobs=[])
                opening = b""
            full = {**part, "text": "".join(script.text)}
            opening += event("response.output_text.done", **at, text=full["text"], logprobs=[])
            opening += event("response.content_part.done", **at, part=full)
            items.append({**message, "status": "completed", "content": [full]})
            opening += event("response.output_item.done", output_index=len(items) - 1, item=items[-1])
        if script.call:
            arguments = json.dumps(script.call.args)
            call: Json = {"id": "fc_1", "type": "function_call", "call_id": script.call.id, "name": script.call.name}
            at = {"item_id": "fc_1", "output_index": len(items)}
            started = {**call, "arguments": "", "status": "in_progress"}
            yield opening + event("response.output_item.added", output_index=len(items), item=started)
            for delta in (arguments[:3], arguments[3:]):
                yield event("response.function_call_arguments.delta", **at, delta=delta)
            items.append({**call, "arguments": arguments, "status": "completed"})
            opening = event("response.function_call_arguments.done", **at, arguments=arguments, name=script.call.name)
            opening += event("response.output_item.done", output_index=len(items) - 1, item=items[-1])
        usage = {
            "input_tokens": script.prompt_tokens + 100,
            "input_tokens_details": {"cached_tokens": 100},
            "output_tokens": script.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": script.prompt_tokens + 100 + script.completion_tokens,
        }
        reason = {"length": "max_output_tokens", "filter": "content_filter"}.get(script.finish)
        if reason:
            ended = whole("incomplete", usage=usage, incomplete_details={"reason": reason})
            yield opening + event("response.incomplete", response=ended)
        else:
            yield opening + event("response.completed", response=whole("completed", usage=usage))

    def broken(self) -> bytes:
        error = {"type": "error", "sequence_number": 99, "code": "server_error", "message": "The server had an error"}
        return named({**error, "param": None})

    def error(self, status: int, kind: str, message: str) -> Json:
        return {"error": {"message": message, "type": kind, "param": None, "code": kind}}


class Messages:
    """Anthropic's messages."""

    def hear(self, path: str, body: Json) -> Heard:
        prompt, results, images = "", [], 0
        for message in body["messages"]:
            blocks = message["content"]
            if isinstance(blocks, str):
                blocks = [{"type": "text", "text": blocks}]
            if message["role"] != "user":
                continue
            given = [text_of(block.get("content")) for block in blocks if block["type"] == "tool_result"]
            if said := text_of([block for block in blocks if block["type"] == "text"]):
                prompt, results = said, []
                images = sum(block["type"] == "image" for block in blocks)
            results += given
        return Heard(body["model"], prompt, results, [tool["name"] for tool in body.get("tools", [])], images)

    def pieces(self, model: str, script: Script) -> Iterator[bytes]:
        usage = {
            "input_tokens": script.prompt_tokens,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 10,
        }
        message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
        opening = named({"type": "message_start", "message": message}) + named({"type": "ping"})
        index = 0

        def block(content: Json) -> bytes:
            return named({"type": "content_block_start", "index": index, "content_block": content})

        def delta(content: Json) -> bytes:
            return named({"type": "content_block_delta", "index": index, "delta": content})

        if script.thinking:
            opening += block({"type": "thinking", "thinking": "", "signature": ""})
            for thought in script.thinking:
                yield opening + delta({"type": "thinking_delta", "thinking": thought})
                opening = b""
            opening = delta({"type": "signature_delta", "signature": "c2lnbmVk"})
            opening += named({"type": "content_block_stop", "index": index})
            index += 1
        if script.text:
            opening += block({"type": "text", "text": ""})
            for word in script.text:
                yield opening + delta({"type": "text_delta", "text": word})
                opening = b""
            opening = named({"type": "content_block_stop", "index": index})
            index += 1
        if script.call:
            use: Json = {"type": "tool_use", "id": script.call.id, "name": script.call.name, "input": {}}
            yield opening + block(use)
            arguments = json.dumps(script.call.args)
            for part in (arguments[:3], arguments[3:]):
                yield delta({"type": "input_json_delta", "partial_json": part})
            opening = named({"type": "content_block_stop", "index": index})
        reasons = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use", "filter": "refusal"}
        ending: Json = {
            "type": "message_delta",
            "delta": {"stop_reason": reasons[script.finish], "stop_sequence": None},
        }
        ending["usage"] = {"output_tokens": script.completion_tokens}
        yield opening + named(ending) + named({"type": "message_stop"})

    def broken(self) -> bytes:
        return named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})

    def error(self, status: int, kind: str, message: str) -> Json:
        kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
        kinds |= {400: "invalid_request_error", 500: "api_error", 529: "overloaded_error", 503: "overloaded_error"}
        return {"type": "error", "error": {"type": kinds.get(status, kind), "message": message}}


class GenerateContent:
    """Google's generateContent."""

    def hear(self, path: str, body: Json) -> Heard:
        prompt, results, images = "", [], 0
        for content in body["contents"]:
            if content.get("role") not in ("user", None):
                continue
            parts = content["parts"]
            if said := "\n".join(part["text"] for part in parts if "text" in part):
                prompt, results = said, []
                images = sum("inlineData" in part for part in parts)
            results += [
                str(next(iter(part["functionResponse"]["response"].values()), ""))
                for part in parts
                if "functionResponse" in part
            ]
        tools = [
            function["name"] for tool in body.get("tools", []) for function in tool.get("functionDeclarations", [])
        ]
        return Heard(path.rsplit("/", 1)[1].partition(":")[0], prompt, results, tools, images)

    def pieces(self, model: str, script: Script) -> Iterator[bytes]:
        usage: Json = {"promptTokenCount": script.prompt_tokens + 100, "cachedContentTokenCount": 100}
        usage |= {"candidatesTokenCount": script.completion_tokens}
        usage["totalTokenCount"] = usage["promptTokenCount"] + script.completion_tokens

        def chunk(*parts: Json, **more: Any) -> bytes:
            candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}, **more}
            return data({"candidates": [candidate], "modelVersion": model, "usageMetadata": usage})

        for thought in script.thinking:
            yield chunk({"text": thought, "thought": True})
        for word in script.text:
            yield chunk({"text": word})
        if script.call:
            yield chunk({"functionCall": {"name": script.call.name, "args": script.call.args}})
        reasons = {"length": "MAX_TOKENS", "filter": "SAFETY"}
        yield chunk(finishReason=reasons.get(script.finish, "STOP"))

    def broken(self) -> bytes:
        return data({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})

    def error(self, status: int, kind: str, message: str) -> Json:
        names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
        names |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
        return {"error": {"code": status, "message": message, "status": names.get(status, "UNKNOWN")}}

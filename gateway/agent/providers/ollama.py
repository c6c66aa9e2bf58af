"""Ollama's own protocol, `POST /api/chat`, from and to OpenAI's chat completions, which our library speaks. Pure.

Ollama's `/v1` takes neither `num_ctx` nor `think`: there a conversation is silently cut at 4,096 tokens.
"""

import json
from collections.abc import Iterator
from typing import Any

from gateway.agent.providers.requests import plain
from gateway.link.spec import Model

Json = dict[str, Any]

PATH = "/api/chat"
OPTIONS = frozenset(
    [
        "num_keep",
        "seed",
        "num_predict",
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "repeat_last_n",
        "temperature",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
        "stop",
        "num_ctx",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "use_mmap",
        "num_thread",
    ]
)
"""Keys of `params` that go into `options`."""
FIELDS = frozenset(("format", "keep_alive", "truncate", "shift", "think"))
"""Keys of `params` that go beside `options`."""
_SAME_NAMES = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop")


def request(body: Json, model: Model) -> Json:
    """The request to `/api/chat` for a request to `/v1/chat/completions`."""
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    options = {key: value for key, value in model.params.items() if key in OPTIONS}
    options |= {key: body[key] for key in _SAME_NAMES if key in body} | ({"num_predict": limit} if limit else {})
    names: dict[str, str] = {}
    asked: Json = {"model": body["model"], "messages": [_message(each, names) for each in body["messages"]]}
    if tools := body.get("tools"):
        asked["tools"] = [{"type": "function", "function": each["function"]} for each in tools]
    # Ollama must refuse a conversation that does not fit, not cut it: then it can be made shorter here.
    asked |= {"stream": True, "truncate": False, "shift": False, "options": options}
    asked |= {key: value for key, value in model.params.items() if key in FIELDS}
    effort = body.get("reasoning_effort")
    if "think" not in asked and model.reasoning and effort:
        asked["think"] = False if effort == "none" else _think_level(effort)
    return asked


def _think_level(effort: str) -> str:
    return {"minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)


def _message(message: Json, names: dict[str, str]) -> Json:
    """A message in Ollama's words. `names` has the names of the calls by their ids, for their results."""
    role, content = message["role"], message.get("content")
    told: Json = {"role": "system" if role == "developer" else role, "content": plain(content)}
    if images := [_picture(part) for part in content or () if isinstance(part, dict) and part["type"] == "image_url"]:
        told["images"] = images
    if thinking := message.get("reasoning") or message.get("reasoning_content"):
        told["thinking"] = thinking
    if calls := message.get("tool_calls"):
        names |= {call["id"]: call["function"]["name"] for call in calls}
        told["tool_calls"] = [
            {"function": {"name": call["function"]["name"], "arguments": _object(call["function"]["arguments"])}}
            for call in calls
        ]
    if role == "tool" and (name := names.get(message.get("tool_call_id", ""))):
        told["tool_name"] = name
    return told


def _picture(part: Json) -> str:
    url: str = part["image_url"]["url"]
    return url.partition(",")[2] if url.startswith("data:") else url


def _object(arguments: str) -> Json:
    try:
        found = json.loads(arguments)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


class OllamaChat:
    """The lines of an answer, as chunks of a chat completion."""

    def __init__(self) -> None:
        self._calls = 0

    def chunks(self, line: Json) -> Iterator[Json]:
        if line.get("error"):
            yield {"error": line["error"]}
            return
        said = line.get("message")
        said = said if isinstance(said, dict) else {}
        delta: Json = {}
        if said.get("content"):
            delta["content"] = said["content"]
        if said.get("thinking"):
            delta["reasoning"] = said["thinking"]
        if calls := said.get("tool_calls"):
            delta["tool_calls"] = [self._call(each) for each in calls]
        done = line.get("done") is True
        head = {"id": "ollama", "created": 0, "model": line.get("model", "")}
        if delta or done:
            yield {
                **head,
                "choices": [{"index": 0, "delta": delta, "finish_reason": self._reason(line) if done else None}],
            }
        if done:
            given, made = (int(line.get(key) or 0) for key in ("prompt_eval_count", "eval_count"))
            usage = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
            yield {**head, "choices": [], "usage": usage}

    def _call(self, call: Json) -> Json:
        at, function = self._calls, call["function"]
        self._calls += 1
        arguments = function.get("arguments") or {}
        arguments = arguments if isinstance(arguments, str) else json.dumps(arguments)
        # Some servers give calls no id, or all the same one.
        return {
            "index": at,
            "id": f"{call.get('id') or 'call'}_{at}",
            "type": "function",
            "function": {"name": function["name"], "arguments": arguments},
        }

    def _reason(self, line: Json) -> str:
        if self._calls:
            return "tool_calls"
        return "length" if line.get("done_reason") == "length" else "stop"

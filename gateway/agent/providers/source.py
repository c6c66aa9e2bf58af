"""The source of answers that asks models of providers, through pydantic-ai's `Model.request_stream`, once a turn.

pydantic-ai's `Agent` is not used, because it owns the turns. It would retry inside a request, which clients must be
told (`Discarded`). It would raise where a run keeps the begun answer. It would run the tools itself. pydantic-ai is
left what it is best at: the protocols of the providers, and the classes of their errors.

This module, `clients`, `history` and `failures` are imported by the first run that asks a real model, in a thread: the
import takes a second or two.
"""

import asyncio
import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from msgspec.structs import replace
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import (
    InstructionPart,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models import Model as ProviderModel
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from gateway.agent.providers import pictures
from gateway.agent.providers.bypass import Kind, open_bypass
from gateway.agent.providers.clients import forget_clients, is_made, model_of, settings_of
from gateway.agent.providers.closing import closing_opened
from gateway.agent.providers.failures import explain
from gateway.agent.providers.history import result_content, to_models, tool_return
from gateway.agent.providers.refusals import MAX_REFUSED, refused_tool
from gateway.agent.turn.answer import Answer, ToolCall
from gateway.agent.turn.failed import Failed, Secrets
from gateway.agent.turn.source import Tell, Tool
from gateway.link.messages import Failure, Text, Thinking, Usage
from gateway.link.spec import Message, Model, Spec
from gateway.text.unicode import well_formed, well_formed_json, well_formed_value

__all__ = ["ModelSource", "forget_clients"]

log = logging.getLogger("agent.models")

MAX_SHORT = 200
"""Messages that are prepared on the loop, where that takes less time than a thread: about a millisecond."""
Offered = Callable[[Model], list[Tool]]
Note = Callable[[str, str], Awaitable[None]]


class ModelSource:
    """Implements `turn/source.Source`: the past of the conversation, then the messages of this run."""

    def __init__(self, spec: Spec, system: str, offered: Offered, secrets: Secrets, note: Note) -> None:
        """`offered` lists the tools that a model gets. `note` tells the user of a tool that is left out."""
        self._spec = spec
        self._secrets = secrets
        self._offered = offered
        self._note = note
        self._refused: set[str] = set()
        """Names of tools that a provider has refused."""
        self._past = [*spec.history, spec.prompt]
        self._max_tokens: int | None = None
        self._since: list[ModelMessage] = []
        self._prepared: dict[int, tuple[ProviderModel[Any], list[ModelMessage]]] = {}
        self._instructions = [InstructionPart(system)] if system else None

    def set_past(self, past: list[Message], most: int | None) -> None:
        """Set the messages before this run's answers, and the most tokens of an answer, if it has a bound."""
        if past != self._past:
            self._past = past
            self._prepared.clear()
        self._max_tokens = most

    async def ask(self, answer: Answer, tell: Tell) -> None:
        """Ask the model. A tool that the provider refuses is left out, and the model is asked again."""
        while True:
            tools = [tool for tool in self._offered(answer.model) if tool.name not in self._refused]
            tools = tools if answer.model.compat.get("supportsTools") is not False else []
            try:
                await self._ask(answer, tools, tell)
                return
            except Failed as failed:
                name = None if answer.begun or failed.__cause__ is None else refused_tool(failed.__cause__, tools)
                if name is None or len(self._refused) >= MAX_REFUSED:
                    raise
                self._refused.add(name)
                log.warning("the tool %s is left out: %s", name, failed)
                await self._note(name, f"The tool {name} is left out of this run: {failed}")

    async def _ask(self, answer: Answer, tools: list[Tool], tell: Tell) -> None:
        async def hear(kind: Kind, text: str) -> None:
            for piece in answer.add_text(text) if kind == "text" else answer.add_thinking(text):
                await tell(piece)

        silence_s = (answer.model.silence_ms or self._spec.bounds.silence_ms) / 1000
        bypass = open_bypass(hear)
        try:
            model, before = await self._prepared_for(answer.model)
            bounded = replace(answer.model, max_tokens=self._max_tokens or answer.model.max_tokens)
            settings = settings_of(bounded, self._spec.thinking, silence_s)
            request = model_request_stream(
                model,
                [*before, *self._since],
                model_settings=settings,
                model_request_parameters=self._parameters(tools),
            )
            async with closing_opened(), request as stream:
                try:
                    async for event in stream:
                        if piece := _piece(event, answer):
                            await bypass.made(*piece)
                finally:
                    answer.usage = _usage(stream.usage)
                response = _well_formed(stream.get())
        except (Failed, ImportError):
            raise
        except Exception as error:
            failed = explain(error, answer.model, self._secrets, silence_s)
            if failed.failure.kind == "internal":
                log.error("%s", failed, exc_info=error)
            raise failed from error
        for rest in _rest(response, answer):
            await tell(rest)
        self._accept(response, answer)

    def add_result(self, call: ToolCall, blocks: list[dict[str, Any]], *, ok: bool) -> None:
        part = tool_return(call.name, call.id, self._content(blocks), ok=ok)
        if isinstance(last := self._since[-1], ModelRequest):
            self._since[-1] = ModelRequest(
                [*last.parts, part]
            )  # providers want all results of an answer in one request
        else:
            self._since.append(ModelRequest([part]))

    def _parameters(self, tools: list[Tool]) -> ModelRequestParameters:
        defined = [
            ToolDefinition(name=tool.name, parameters_json_schema=tool.schema, description=tool.description)
            for tool in tools
        ]
        return ModelRequestParameters(function_tools=defined, instruction_parts=self._instructions)

    def replace_result(self, call: ToolCall, blocks: list[dict[str, Any]], *, ok: bool) -> None:
        """Replace the blocks of a result that was added before."""
        part = tool_return(call.name, call.id, self._content(blocks), ok=ok)
        for number, message in enumerate(self._since):
            if isinstance(message, ModelRequest):
                same = (isinstance(each, ToolReturnPart) and each.tool_call_id == call.id for each in message.parts)
                parts = [part if is_it else each for is_it, each in zip(same, message.parts, strict=True)]
                self._since[number] = ModelRequest(parts)

    def _content(self, blocks: list[dict[str, Any]]) -> Any:
        # The next model is not known yet. Models without pictures are mostly configured alone.
        if not all(model.pictures for model in self._spec.models):
            blocks = [pictures.replace_picture(block, pictures.TEXT_ONLY) for block in blocks]
        return result_content(blocks, self._spec.models[0].api)

    async def _prepared_for(self, model: Model) -> tuple[ProviderModel[Any], list[ModelMessage]]:
        short = len(self._past) <= MAX_SHORT and not any(map(pictures.has_picture, self._past))
        return self._prepare(model) if short and is_made(model) else await asyncio.to_thread(self._prepare, model)

    def _prepare(self, model: Model) -> tuple[ProviderModel[Any], list[ModelMessage]]:
        """Call this in a thread if it takes long: it imports the provider's library, and judges pictures."""
        number = self._spec.models.index(model)
        if number not in self._prepared:
            past = self._past
            if not model.pictures:
                past = [pictures.replace_pictures(message, pictures.TEXT_ONLY) for message in past]
            self._prepared[number] = model_of(model), to_models(past, model)
        return self._prepared[number]

    def _accept(self, response: ModelResponse, answer: Answer) -> None:
        """Add the answer to the conversation. Raises Failed if it has no proper end."""
        name = f"{answer.model.provider}/{answer.model.id}"
        if not _has_ended(response):
            raise Failed(Failure("network", f"{name} has broken off in the middle of its answer.", retryable=True))
        if response.finish_reason == "content_filter":
            raise Failed(Failure("refused", f"{name} has stopped its answer by its content filter."))
        if response.finish_reason == "error":
            raise Failed(Failure("provider", f"{name} has ended its answer with an error.", retryable=True))
        answer.calls = [_call(part) for part in response.parts if isinstance(part, ToolCallPart)]
        if not answer.text and not answer.calls and not self._since:
            raise Failed(Failure("provider", f"{name} has answered with nothing.", retryable=True))
        answer.stop_reason = "toolUse" if answer.calls else "length" if response.finish_reason == "length" else "stop"
        self._since.append(response)


def _piece(event: ModelResponseStreamEvent, answer: Answer) -> tuple[Kind, str] | None:
    match event:
        case PartStartEvent(part=TextPart(content=delta)) | PartDeltaEvent(delta=TextPartDelta(content_delta=delta)):
            return "text", delta
        case (
            PartStartEvent(part=ThinkingPart(content=delta))
            | PartDeltaEvent(delta=ThinkingPartDelta(content_delta=str(delta)))
        ):
            return "thinking", delta
        case PartEndEvent(part=ThinkingPart(signature=str(signature))) if answer.model.api == "anthropic-messages":
            answer.sign_thinking(signature)
    return None


def _rest(response: ModelResponse, answer: Answer) -> Iterator[Text | Thinking]:
    """Pieces that the complete answer has and no event has brought."""
    yield from answer.finish()
    whole = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    if whole.startswith(answer.text):
        yield from answer.add_text(whole[len(answer.text) :])


def _well_formed(response: ModelResponse) -> ModelResponse:
    """The response without lone surrogates: it is sent with the next request, and its calls are stored."""
    return dataclasses.replace(response, parts=[_well_formed_part(part) for part in response.parts])


def _well_formed_part(part: ModelResponsePart) -> ModelResponsePart:
    match part:
        case TextPart(content=text) | ThinkingPart(content=text):
            return dataclasses.replace(part, content=well_formed(text))
        case ToolCallPart(tool_name=name, tool_call_id=id, args=args):
            args = well_formed_json(well_formed(args).encode()).decode() if isinstance(args, str) else args
            clean: Any = {"tool_name": well_formed(name), "tool_call_id": well_formed(id)}
            return dataclasses.replace(part, args=well_formed_value(args), **clean)
    return part


def _has_ended(response: ModelResponse) -> bool:
    """Whether the answer has come to its end.

    pydantic-ai believes that a chat completion without `finish_reason` is complete. `dialects` adds a reason where the
    server says the end in other words.
    """
    if response.finish_reason is None or response.state != "complete":
        return False
    return bool((response.provider_details or {}).get("finish_reason"))


def _call(part: ToolCallPart) -> ToolCall:
    args: object = part.args or {}
    if isinstance(args, str):
        try:
            args = well_formed_value(json.loads(args))
        except (ValueError, RecursionError):
            args = None
    return ToolCall(part.tool_call_id, part.tool_name, args if isinstance(args, dict) else None)


def _usage(usage: RequestUsage) -> Usage:
    """Usage as OpenClaw counts it: cached tokens are no input. pydantic-ai counts them as input."""
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    return Usage(
        max(usage.input_tokens - cached, 0), usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens
    )

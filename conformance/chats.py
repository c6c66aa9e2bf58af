"""Conversations in the Control UIs of all releases: what is done in them, and a walk in a headless browser."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from conformance.clients import TOKEN, Client
from conformance.gateways import OUT, Gateway
from conformance.pages import find_browser, played
from conformance.providing import MODEL, NAME, OTHER_MODEL, OTHER_NAME
from conformance.scene import Act, Message, Scene
from conformance.sight import Sight
from gateway.agent.echo import INTRODUCTION
from gateway.config.vocabulary import FIRST

PACE_MS = 80
"""Milliseconds between two words of the built-in model: with these an answer has a middle."""
LIMIT_SECONDS = 90.0
"""Seconds for one act on average, its restart included."""
REFUSAL = "mock refuses the API key; set models.providers.mock.apiKey in openclaw.json (HTTP 401): no, because of 401"
NAMED = "A name for it"
OWN = "agent:main:conformance"
"""The session of `with_provider`, where a page does not make one itself."""


def echo(pace_ms: int) -> dict[str, Any]:
    """Sections of a config without a model of a provider, whose built-in one takes its time."""
    return {"models": {"providers": {"builtin": {"paceMs": pace_ms}}}}


def with_echo(client: Client) -> tuple[Act, ...]:
    """The acts in an agent's main session."""
    modern = client.protocol >= 4
    long, middle = _words("stop", 150), _words("restart", 90)
    while_written = _words("opened", 60)
    stopped = (_user(long), ("assistant", "…"))
    first, second = _words("first", 30), "and then the second"
    reset = () if modern else (_user("/new"), _assistant("New session. What was said before is forgotten."))
    return (
        _said("send", "alpha beta gamma"),
        Act("reload", "reload", ends=_exchange("alpha beta gamma"), whole=_echo("alpha beta gamma")),
        # v21 takes what an aborted answer had from the page, also beside OpenClaw's own gateway; it is in the history.
        Act("stop", "stop", (long,), stopped[:1] if client.version == FIRST else stopped, _echo(long)),
        Act("reload", "reload after stop", ends=stopped, whole=_echo(long)),
        Act("queue", "queue", (first, second), (*_exchange(first), *_exchange(second))),
        Act("reopen", "reload in the middle", (while_written,), _exchange(while_written), _echo(while_written)),
        Act("restart", "restart", (middle,), _exchange(middle), _echo(middle)),
        Act("reload", "reload after restart", ends=_exchange(middle), whole=_echo(middle)),
        Act("send", "/status", ("/status",), shows=("Model: builtin/echo",)),
        Act("send", "/new", ("/new",), ends=reset),
        _said("send after /new", "delta epsilon"),
    )


def with_provider(client: Client) -> tuple[Act, ...]:
    """The acts in a session of their own."""
    modern = client.protocol >= 4
    first, then = "zeta eta theta", "iota kappa"
    picked = (
        Act("choose", "choose a model", (NAME, OTHER_NAME), shows=(OTHER_NAME,)),
        _said("send to the chosen model", then, _provided),
    )
    refused = "!401 !times=1 lambda"
    with_reason = (_user(refused), _assistant(REFUSAL))
    listed = Act("models", "models", shows=(f'"id": "{MODEL}"', f'"id": "{OTHER_MODEL}"'))
    return (
        Act("begin", "new session"),
        _said("send to a provider", first, _provided),
        *(picked if modern else ()),
        Act("sessions", "sessions", shows=(first,) if modern else (OWN,)),
        # The last ones of protocol 3 show a name in its field alone, where chats.mjs reads it, and the key beside it.
        Act("rename", "rename", (NAMED,), shows=(NAMED,) if modern or client.version == FIRST else (OWN,)),
        Act("remove", "delete", hides=(NAMED,) if modern else (NAMED, OWN)),
        Act("begin", "another session"),
        # v21 hears of it by the event alone, and sees the reason among the messages when it looks again.
        Act("send", "refused", (refused,), with_reason if modern else with_reason[:1], error=REFUSAL),
        Act("reload", "reload after refused", ends=with_reason),
        # What was refused has no answer, so the model is told it with what comes next, as one message.
        _said("send after refused", "mu nu", lambda text: _provided(f"lambda {text}")),
        *(() if modern else (listed,)),
    )


def converse(client: Client, gateway: Gateway, port: int, acts: tuple[Act, ...], place: str) -> Iterator[Scene]:
    """The acts in their order, in one browser."""
    out = OUT / f"chats-{client.version}-{place}"
    out.mkdir(parents=True, exist_ok=True)
    job = {
        "package": str(client.package),
        "modern": client.protocol >= 4,
        "browser": find_browser(),
        "port": port,
        "gateway": gateway.port,
        "token": TOKEN,
        "out": str(out),
        "acts": [{"name": act.name, "label": act.label, "texts": act.texts} for act in acts],
    }
    with closing(played("chats.mjs", client, gateway, job, LIMIT_SECONDS * len(acts))) as rows:
        for act, row in zip(acts, rows, strict=True):
            yield _scene(client.version, act, row)


def _scene(version: str, act: Act, row: dict[str, Any]) -> Scene:
    return Scene(
        act,
        Sight.of(version, f"chat, {act.label}", row),
        tuple((who, text) for who, text in row["messages"]),
        grown=tuple(row.get("grown", ())) if act.whole else (),
        broken=tuple(name for name in ("began", "stopped", "usable", "renamed", "chosen") if row.get(name) is False),
    )


def _exchange(text: str) -> tuple[Message, Message]:
    return _user(text), _assistant(_echo(text))


def _user(text: str) -> Message:
    return "user", text


def _assistant(text: str) -> Message:
    return "assistant", text


def _echo(text: str) -> str:
    return f"{INTRODUCTION}\n\n{_provided(text)}"


def _provided(text: str) -> str:
    return f"You said: {text}"


def _said(label: str, text: str, answer: Callable[[str], str] = _echo) -> Act:
    return Act("send", label, (text,), (_user(text), _assistant(answer(text))), answer(text))


def _words(stem: str, number: int) -> str:
    return " ".join(f"{stem}{each}" for each in range(number))

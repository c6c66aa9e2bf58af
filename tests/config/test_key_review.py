from pathlib import Path
from typing import Any

import pytest

from gateway.config.files import read
from gateway.config.key_review import MAX_REPORTED, MAX_UNKNOWN, review_keys
from gateway.config.parse import TextPosition


def told(folder: Path, text: str) -> tuple[list[str], list[str]]:
    (file := folder / "openclaw.json").write_text(text)
    file.chmod(0o600)
    found = read(file, {})
    return [str(each).removeprefix(f"{file}:") for each in found.issues], [
        each.removeprefix(f"{file}:") for each in found.warnings
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{gateway:{bind:"lan",tls:{enabled:true,autoGenerate:true},auth:{token:"x"}}}', "1:22: gateway.tls: "),
        ("{gateway:{roles:{definitions:{a:{}}}}}", "1:11: gateway.roles: "),
        ("{gateway:{auth:{token: 'x', rateLimit:{maxAttempts:3}}}}", "1:29: gateway.auth.rateLimit: "),
        (
            "{agents:{defaults:{sandbox:{mode:'all'}}}, mcp:{servers:{a:{command:'x'}}}}",
            "1:20: agents.defaults.sandbox",
        ),
        ("{agent:{tools:{deny:['x']}}}", "1:16: agent.tools.deny: "),
        ("{session:{sendPolicy:{default:'deny'}}}", "1:11: session.sendPolicy: "),
    ],
)
def test_what_protects_and_is_not_honoured_is_an_error_with_its_place_and_the_way_out(
    tmp_path: Path, text: str, place: str
) -> None:
    (error,), _ = told(tmp_path, text)
    assert error.startswith(place) and error.endswith(")")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{gateway:{bind:"loopback",port:18790,tailscale:{mode:"serve"},auth:{token:"x"}}}',
         "1:38: gateway.tailscale: Tailscale is not set up by this gateway (type `tailscale serve --bg 18790`"),
        ("{gateway:{tailscale:{mode:'funnel'}}}", "(type `tailscale funnel --bg 18789`"),
        ("{gateway:{auth:{allowTailscale:true}}}", "gateway.auth.allowTailscale: "),
        ("{channels:{telegram:{enabled:true}}}", "1:12: channels.telegram: nobody is answered on telegram"),
        ("{channels:{telegram:{botToken:'x'}}}", "channels.telegram: "),
        ("{cron:{enabled:true}}", "cron: no job runs here"),
        ("{hooks:{enabled:true}}", "hooks: POST /hooks is not served"),
        ("{zzz:{a:1}}", "1:2: zzz: no key of OpenClaw or of this gateway"),
        ("{agents:{defaults:{modle:'x'}}}", 'agents.defaults.modle: no key of OpenClaw or of this gateway '
         '(did you mean "model"?)'),
        ('{agent:{model:"anthropic/claude-opus-4-5"}}', "1:9: agent.model: a name of former days; it is "
         "agents.defaults.model now (openclaw-gateway config migrate)"),
        ("{mcpServers:{x:{command:'y'}}}", "mcpServers.x: a name of former days; it is mcp.servers.x now"),
    ],
)  # fmt: skip
def test_what_promises_is_a_warning(tmp_path: Path, text: str, said: str) -> None:
    errors, warnings = told(tmp_path, text)
    assert errors == [] and any(said in each for each in warnings), warnings


@pytest.mark.parametrize(
    "text",
    [
        "{gateway:{tls:{enabled:false}, tailscale:{mode:'off'}, auth:{allowTailscale:false}}}",
        "{channels:{telegram:{enabled:false, allowFrom:['1']}, defaults:{groupPolicy:'open'}}}",
        "{cron:{enabled:false}, hooks:{enabled:false}, browser:{enabled:false}, discovery:{mdns:{mode:'off'}}}",
        "{tools:{exec:{security:'deny'}, elevated:{enabled:false}, fs:{workspaceOnly:true}}, plugins:{deny:['x']}}",
        "{plugins:{entries:{anthropic:{enabled:true}}}, agents:{defaults:{sandbox:{mode:'all'}}}}",
        "{session:{dmScope:'per-peer'}, commands:{ownerAllowFrom:['x']}, skills:{install:{nodeManager:'npm'}}}",
    ],
)
def test_what_is_switched_off_or_restricts_what_is_never_done_says_nothing(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, text) == ([], [])


@pytest.mark.parametrize(("key", "most"), [("channels", MAX_REPORTED), ("agents", MAX_UNKNOWN)])
def test_a_bounded_number_is_told(tmp_path: Path, key: str, most: int) -> None:
    def count(number: int) -> int:
        many: dict[str, Any] = {f"k{index}": {"enabled": True} for index in range(number)}
        return len(told(tmp_path, f"{{{key}: {many}}}".replace("True", "true"))[1])

    assert count(most) == most
    assert count(most + 5) == most + 1


@pytest.mark.parametrize(
    ("agents", "where"),
    [
        ({"entries": {"Main": {}, "main": {}}}, ["agents.entries.main"]),
        ({"entries": {"My Agent": {}, "my-agent": {}, "x": {}}}, ["agents.entries.my-agent"]),
        ({"list": [{"id": "A"}, {"id": "b"}, {"id": " a "}]}, ["agents.list.2"]),
        ({"list": [{"id": "a"}], "entries": {"A": {}}}, ["agents.list.0"]),
        ({"list": [5, {}, {"id": ""}], "entries": {"": {}}}, []),
    ],
)
def test_agents_of_one_name(agents: Any, where: list[Any]) -> None:
    found = review_keys({"agents": agents}, lambda path, *, key=False: TextPosition("")).errors
    assert [each.path for each in found] == where


def test_an_agent_under_anothers_name_is_an_error_and_a_provider_a_warning(tmp_path: Path) -> None:
    (file := tmp_path / "openclaw.json").write_text(
        "{agents:{entries:{Main:{},main:{}}},\nmodels:{providers:{OpenAI:{},openai:{}}}}"
    )
    found = read(file, {})
    assert list(map(str, found.issues)) == [
        f'{file}:1:27: agents.entries.main: "Main" and "main" are one name for agents, "main" (rename one of them)'
    ]
    assert (
        f'{file}:2:30: models.providers.openai: "OpenAI" and "openai" are one name for providers, "openai" '
        "(the first one counts)"
    ) in found.warnings


def test_two_names_of_one_provider_are_told(tmp_path: Path) -> None:
    _, warnings = told(tmp_path, "{models:{providers:{gemini:{}, google:{}}}}")
    assert '1:32: models.providers.google: "gemini" and "google" are one name for providers, "google" ' in warnings[0]


def test_what_an_error_names_is_told_once(tmp_path: Path) -> None:
    errors, warnings = told(tmp_path, "{loging:{}, gateway:{auth:{tokn:'x'}}}")
    assert len(errors) == 2 and warnings == []


def test_what_is_told_is_not_among_the_unused_keys(tmp_path: Path) -> None:
    (file := tmp_path / "openclaw.json").write_text("{cron:{enabled:true}, identity:{}, zzz:1, bindings:[]}")
    assert read(file, {}).unused == ("bindings",)

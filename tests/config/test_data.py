"""Whole files: good ones are accepted as they are, bad ones get exactly the messages that stand beside them."""

from pathlib import Path

import pytest

from gateway.config.files import read

DATA = Path(__file__).parent / "data"
UNUSED = (
    "$schema meta wizard auth logging.consoleStyle logging.redactSensitive agents.defaults.maxConcurrent "
    "agents.defaults.subagents bindings models.mode channels messages commands session.store tools.exec "
    "tools.elevated skills plugins ui.seamColor discovery talk media memory audio approvals update diagnostics "
    "nodeHost broadcast acp gateway.mode gateway.auth.rateLimit gateway.remote gateway.tailscale gateway.tls "
    "gateway.nodes"
)
"""What `ASKED` does not name already."""
ASKED = (
    "channels.whatsapp channels.telegram web cron hooks hooks.internal gateway.auth.allowTailscale "
    "gateway.http.endpoints.responses browser canvasHost agents.defaults.heartbeat plugins.entries.voice-call "
    "env.shellEnv session.reset identity"
)
"""What it asks for in vain: a warning for each, and none for what is switched off."""


def test_a_full_openclaw_config_is_accepted_and_its_unused_keys_are_listed() -> None:
    found = read(DATA / "good" / "openclaw-full.json5", {})
    assert found.issues == ()
    assert found.config is not None
    gateway = found.config.gateway
    assert (gateway.auth.token, gateway.control_ui.base_path) == ("from-the-config", "/openclaw")
    assert found.config.logging.console_level == "debug"
    assert " ".join(found.unused) == UNUSED
    told = {line.split(": ")[1] for line in found.warnings if line.startswith(str(found.path)) and "chmod" not in line}
    assert told == set(ASKED.split())
    assert [line for line in found.warnings if not line.startswith(str(found.path))] == [
        "models.providers.local.apiKey: the environment variable UNSET_KEY is not set; left as it is",
        'agents.defaults.model: models.providers.anthropic.apiKey: there is no key for the provider "anthropic"; '
        "set ANTHROPIC_API_KEY in .env beside the state or for openclaw-gateway.service "
        "(not for openclaw-agent.service), "
        "or models.providers.anthropic.apiKey",
        'agents.defaults.model: models.providers.openai.apiKey: there is no key for the provider "openai"; '
        "set OPENAI_API_KEY in .env beside the state or for openclaw-gateway.service "
        "(not for openclaw-agent.service), "
        "or models.providers.openai.apiKey",
    ]


def test_what_openclaw_writes_is_accepted() -> None:
    found = read(DATA / "good" / "as-written-by-openclaw.json", {})
    assert found.config is not None and found.config.gateway.port == 18801
    assert found.unused == ("meta", "agents.defaults.maxConcurrent", "gateway.mode")


@pytest.mark.parametrize("file", sorted(DATA.glob("bad/*.bad.json5")), ids=lambda file: file.name.split(".")[0])
def test_a_bad_file_gets_the_messages_beside_it(file: Path) -> None:
    expected = file.with_name(file.name.replace(".bad.json5", ".expected")).read_text()
    found = read(file, {})
    assert found.config is None
    assert sorted(map(str, found.issues)) == sorted(
        f"{file}{line}".replace("{folder}", str(file.parent)) for line in expected.splitlines()
    )
    assert not any("s3c" in str(issue) for issue in found.issues), "a message quotes a secret"

"""What is done in the chats: a script that can do it, and one thing to be awaited of each."""

import re
from pathlib import Path

import pytest

from conformance import chats
from conformance.clients import CLIENTS, Client
from conformance.scene import Act
from tests.agent import script
from tests.agent.provider import Provider
from tests.agent.script import Heard

EACH = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.version)
SCRIPT = (Path(chats.__file__).with_name("chats.mjs")).read_text()


@EACH
def test_every_act_can_be_done_and_is_awaited(client: Client) -> None:
    modern = client.protocol >= 4
    for acts in (chats.with_echo(client), chats.with_provider(client)):
        assert len({act.label for act in acts}) == len(acts)
        for act in acts:
            assert re.search(rf"^  async {act.name}\(", SCRIPT, re.MULTILINE), act
            assert act.name == "begin" or act.ends or act.shows or act.hides or (modern and act.label == "/new"), act
            assert act.whole or ("assistant", "…") not in act.ends, act


def test_a_row_of_the_script_becomes_a_scene() -> None:
    row = {
        **{"connected": True, "console": [], "faults": [], "refused": {}, "alerts": [], "lines": ["Chat"]},
        **{"messages": [["user", "hi"]], "grown": ["h"], "began": True, "stopped": False},
    }
    scene = chats._scene("2026.9.6", Act("stop", "stop", whole="hi"), row)
    assert (scene.sight.page, scene.messages, scene.grown) == ("chat, stop", (("user", "hi"),), ("h",))
    assert scene.broken == ("stopped",)
    assert chats._scene("2026.9.6", Act("send", "/new"), row).grown == ()


@EACH
def test_a_session_is_answered_after_a_refusal(client: Client) -> None:
    """Both messages reach the provider as one."""
    acts = {act.label: act for act in chats.with_provider(client)}
    provider, (refused,), then = Provider(), acts["refused"].texts, acts["send after refused"]
    assert script.write(Heard("m1", refused, [], []), well=provider._is_well(Heard("m1", refused, [], []))).status
    both = Heard("m1", "\n\n".join((refused, *then.texts)), [], [])
    assert "".join(script.write(both, well=provider._is_well(both)).text) == then.whole


def test_the_built_in_model_takes_its_time() -> None:
    assert chats.echo(80) == {"models": {"providers": {"builtin": {"paceMs": 80}}}}

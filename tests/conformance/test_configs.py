"""What is laid before OpenClaw's validator: each key is one of its own."""

from pathlib import Path

from conformance import configs
from gateway.config import json5
from gateway.config.parse import MAX_DEPTH
from gateway.config.vocabulary import LATEST, Vocabulary


def test_each_file_has_what_was_asked_for(tmp_path: Path) -> None:
    trees = {name: json5.parse(text, MAX_DEPTH).root.value for name, text in configs.written(tmp_path).items()}
    assert [list(Vocabulary(LATEST).unknown_keys(tree)) for tree in trees.values()] == [[]] * 3
    assert trees["config.set of config.get"]["logging"] == {"level": "debug"}
    made = trees["agents.create"]["agents"]["entries"]
    assert (made["main"], made["my-helper"]["name"]) == ({"default": True}, "Helper")
    assert trees["config migrate"]["agents"]["entries"]["sam"] == {"default": True, "identity": {"name": "Sam"}}

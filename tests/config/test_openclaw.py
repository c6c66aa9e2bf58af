"""The table: no key of OpenClaw is without a fate, and nothing that restricts has one by accident."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config import vocabulary
from gateway.config.fields import FIELDS, SECTIONS
from gateway.config.old_keys import RENAMED_KEYS
from gateway.config.openclaw import RULES, Fate, is_read, rule_for
from gateway.config.vocabulary import LATEST

RESTRICTS = re.compile(
    r"^(deny|allow|allowed[A-Z].*|blocked.*|.*[pP]olicy|tls|sslVerify|security|sandbox|readOnly|.*[aA]llowlist|roles|"
    r"rateLimit|redact.*|.*[aA]llowFrom|require[A-Z].*)$"
)
_WORDS = """
    acp approvals bindings broadcast browser channels commands cron discovery hooks memory messages meta nodeHost
    plugins proxy secrets security skills talk tts
"""
DECIDED = set(_WORDS.split())
"""Sections of which nothing is done here, so that what restricts in them restricts nothing."""
ELSEWHERE = (
    "mcp.servers",
    "models.providers",
    "tools",
    "agents.entries.*.tools",
    "agents.list.*.tools",
    "gateway.tools",
)
"""What `servers` and `providers` decide about, and the tools that are never there."""


def _paths(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict):
        for key, child in node.items():
            if key == "[]":
                yield from _paths(child, (*path, "*"))
            else:
                yield (*path, key)
                yield from _paths(child, (*path, key))


KEYS = [
    path
    for line in Path(vocabulary.__file__).with_name(f"openclaw-{LATEST}.keys").read_text().splitlines()
    for name, _, text in [line.partition("\t")]
    for path in [(name,), *_paths(json.loads(text), (name,))]
]


def test_each_key_of_openclaw_has_a_fate() -> None:
    assert len(KEYS) > 3000
    without = [
        ".".join(path)
        for path in KEYS
        if not (".".join(path) in FIELDS or ".".join(path) in SECTIONS or is_read(".".join(path)) or rule_for(path))
    ]
    assert without == []


def test_what_restricts_has_been_decided_about() -> None:
    """A name that sounds like a bound must not get its fate from the section as a whole."""
    undecided = set()
    for path in KEYS:
        name, last = ".".join(path), path[-1]
        if not RESTRICTS.match(last) or path[0] in DECIDED or name.startswith(ELSEWHERE):
            continue
        found = rule_for(path)
        if not (name in FIELDS or name in SECTIONS or is_read(name) or (found and len(found.keys) > 1)):
            undecided.add(name)
    assert undecided == set()


@pytest.mark.parametrize(
    ("path", "fate"),
    [
        ("gateway.tls.certPath", Fate.RESTRICTS),
        ("channels.telegram.allowFrom", Fate.LACKS),
        ("channels.defaults.groupPolicy", Fate.SILENT),
        ("session.sendPolicy.rules", Fate.RESTRICTS),
        ("tools.exec.security", Fate.SILENT),
        ("agents.entries.a.sandbox.mode", Fate.RESTRICTS),
    ],
)
def test_the_longest_path_decides(path: str, fate: Fate) -> None:
    found = rule_for(tuple(path.split(".")))
    assert found and found.fate is fate


def test_rows_are_whole() -> None:
    assert len({each.path for each in RULES}) == len(RULES)
    for each in RULES:
        assert each.says and (each.way_out or each.fate is Fate.SILENT), each
    assert rule_for(("zzz",)) is None


def test_the_page_has_the_table() -> None:
    page = (Path(vocabulary.__file__).parents[2] / "docs" / "config.md").read_text()
    missing = [each.path for each in RULES if f"`{each.path}`" not in page]
    missing += [each.says for each in RULES if each.says not in page]
    missing += [name.old for name in RENAMED_KEYS if f"| `{name.old}` | `{name.new}` |" not in page]
    assert missing == []

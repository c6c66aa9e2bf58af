import json
from typing import Any

import pytest

from gateway.config.fields import FIELDS, SECTIONS
from gateway.protocol.scopes import READ
from gateway.rpc.methods.config_schema import config_schema, config_schema_lookup
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer

METHODS = (config_schema, config_schema_lookup)


def ask(name: str, protocol: int = 4, **params: Any) -> dict[str, Any]:
    return call(FakeCore(), make_peer(protocol, READ), name, params, METHODS)


def lookup(path: str) -> dict[str, Any]:
    payload: dict[str, Any] = ask("config.schema.lookup", path=path)["payload"]
    return payload


@pytest.mark.parametrize("protocol", [3, 4])
def test_the_schema_stands_for_itself(protocol: int) -> None:
    payload = ask("config.schema", protocol)["payload"]
    schema = payload["schema"]
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "$ref" not in json.dumps(schema) and "$defs" not in json.dumps(schema)
    port = schema["properties"]["gateway"]["properties"]["port"]
    assert (port["type"], port["minimum"], port["maximum"], port["default"]) == ("integer", 1, 65_535, 18_789)
    assert payload["version"] == "0.1.0" and payload["generatedAt"].endswith("Z")


def test_a_form_can_show_every_setting() -> None:
    """OpenClaw's forms know these words, and offer only text for anything else."""
    schema = ask("config.schema")["payload"]["schema"]
    text = json.dumps(schema)
    assert '"x-' not in text and '"null"' not in text
    assert schema["properties"]["logging"]["properties"]["file"]["type"] == "string"
    assert "default" not in schema["properties"]["gateway"]["properties"]["auth"]["properties"]["token"]


def test_channels_can_be_shown_though_they_are_not_ours() -> None:
    channels = ask("config.schema", 3)["payload"]["schema"]["properties"]["channels"]
    assert channels["additionalProperties"]["type"] == "object"
    assert ask("config.schema.lookup", path="channels")["error"]["message"] == "config schema path not found"


def test_every_setting_is_in_schema_and_hints() -> None:
    payload = ask("config.schema")["payload"]
    for path in (*FIELDS, *filter(None, SECTIONS)):
        node = payload["schema"]
        for key in path.split("."):
            node = node["properties"][key]
        assert payload["uiHints"][path]["label"] and payload["uiHints"][path]["help"]


def test_secrets_are_sensitive() -> None:
    hints = ask("config.schema")["payload"]["uiHints"]
    sensitive = {path for path, hint in hints.items() if hint.get("sensitive")}
    assert sensitive == {path for path, rule in FIELDS.items() if rule.secret}
    assert "gateway.auth.token" in sensitive
    assert hints["gateway.customBindHost"]["label"] == "Custom Bind Host"


def test_a_section_is_looked_up() -> None:
    found = lookup("gateway.reload")
    assert (found["path"], found["hintPath"], found["reloadKind"]) == ("gateway.reload", "gateway.reload", "hot")
    assert found["schema"]["type"] == "object" and "properties" not in found["schema"]
    mode = found["children"][0]
    assert (mode["key"], mode["path"], mode["hintPath"]) == ("mode", "gateway.reload.mode", "gateway.reload.mode")
    assert (mode["required"], mode["hasChildren"], mode["reloadKind"]) == (False, False, "hot")
    assert mode["hint"]["help"].startswith("hybrid: ")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("gateway.port", "restart"),
        ("gateway.controlUi.basePath", "restart"),
        ("logging.level", "hot"),
        (".", "restart"),
    ],
)
def test_a_change_needs(path: str, kind: str) -> None:
    assert lookup(path)["reloadKind"] == kind


def test_a_setting_has_no_children() -> None:
    found = lookup("gateway.port")
    assert found["children"] == [] and found["schema"]["maximum"] == 65_535


def test_the_whole_config_is_a_point() -> None:
    assert [(child["path"], child["hasChildren"]) for child in lookup(".")["children"]][0] == ("gateway", True)


@pytest.mark.parametrize("path", ["gateway.nope", "gateway.port.x", "nope", "gateway."])
def test_an_unknown_path(path: str) -> None:
    error = ask("config.schema.lookup", path=path)["error"]
    assert error == {"code": "INVALID_REQUEST", "message": "config schema path not found"}


def test_protocol_3_has_no_lookup() -> None:
    assert ask("config.schema.lookup", 3, path="gateway")["error"]["message"] == "unknown method: config.schema.lookup"

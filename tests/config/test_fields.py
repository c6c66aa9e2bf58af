import msgspec
import pytest

from gateway.config.fields import FIELDS, SECTIONS, json_schema, keys_of, overlay
from gateway.config.parse import TextPosition
from gateway.config.schema import Config
from gateway.config.schema import Gateway as Section
from gateway.config.setting import ACTIONS, Effect
from gateway.config.validate import validate

DEFAULTS = {
    "gateway.port": (18789, "unit", None),
    "gateway.bind": ("loopback", "unit", None),
    "gateway.customBindHost": (None, "unit", None),
    "gateway.auth.mode": (None, "hot", "auth"),
    "gateway.auth.token": (None, "hot", "auth"),
    "gateway.auth.password": (None, "hot", "auth"),
    "gateway.auth.identityScopes": (None, "hot", "auth"),
    "gateway.auth.trustedProxy.userHeader": (None, "hot", "auth"),
    "gateway.auth.trustedProxy.requiredHeaders": ((), "hot", "auth"),
    "gateway.auth.trustedProxy.allowUsers": ((), "hot", "auth"),
    "gateway.auth.trustedProxy.allowLoopback": (False, "hot", "auth"),
    "gateway.auth.trustedProxy.deviceAutoApprove.enabled": (False, "hot", "auth"),
    "gateway.auth.trustedProxy.deviceAutoApprove.scopes": (None, "hot", "auth"),
    "gateway.trustedProxies": ((), "hot", "auth"),
    "gateway.reload.mode": ("hybrid", "hot", None),
    "gateway.reload.debounceMs": (300, "hot", None),
    "gateway.reload.deferralTimeoutMs": (300_000, "hot", None),
    "gateway.controlUi.enabled": (True, "hot", None),
    "gateway.controlUi.basePath": ("", "restart", None),
    "gateway.controlUi.allowedOrigins": ((), "hot", None),
    "gateway.controlUi.allowInsecureAuth": (False, "hot", None),
    "gateway.controlUi.dangerouslyDisableDeviceAuth": (False, "hot", None),
    "gateway.http.limits.maxHeadBytes": (65_536, "hot", None),
    "gateway.http.limits.maxHeaders": (100, "hot", None),
    "gateway.http.limits.maxBodyBytes": (1_048_576, "hot", None),
    "gateway.http.limits.headTimeoutMs": (10_000, "hot", None),
    "gateway.http.limits.bodyTimeoutMs": (30_000, "hot", None),
    "gateway.http.limits.keepAliveMs": (5000, "hot", None),
    "gateway.http.limits.maxConnectionsPerAddress": (1024, "hot", None),
    "gateway.http.limits.handshakeTimeoutMs": (15_000, "hot", None),
    "gateway.http.endpoints.chatCompletions.enabled": (False, "hot", None),
    "logging.level": ("info", "hot", "logging"),
    "logging.consoleLevel": ("info", "hot", "logging"),
    "logging.file": (None, "hot", "logging"),
    "logging.maxFileBytes": (104_857_600, "hot", "logging"),
}


def test_every_field_has_its_default_effect_and_action() -> None:
    assert {path: (rule.default, rule.effect.value, rule.action) for path, rule in FIELDS.items()} == DEFAULTS


def test_every_field_says_what_it_is() -> None:
    for rule in FIELDS.values():
        assert rule.doc.endswith("."), rule.path
        assert rule.allowed, rule.path
        assert rule.effect in Effect and rule.effect is not Effect.NONE, rule.path
        assert rule.action is None or rule.action in ACTIONS, rule.path
        assert rule.of(Config()) == rule.default


def test_secrets_are_known() -> None:
    assert [path for path, rule in FIELDS.items() if rule.secret] == ["gateway.auth.token", "gateway.auth.password"]


def test_a_field_without_a_doc_and_an_effect_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.config import fields

    class Undeclared(msgspec.Struct):
        port: int = 1

    with pytest.raises(TypeError, match=r"^port has no doc and effect"):
        fields._walk(Undeclared, (), (), {})


@pytest.mark.parametrize("path", [path for path, rule in FIELDS.items() if rule.allowed.startswith("a whole number")])
def test_numbers_at_their_bounds(path: str) -> None:
    *_, low, _, high = FIELDS[path].allowed.split()
    for number in (int(low), int(high)):
        msgspec.convert(number, FIELDS[path].type)
    for number in (int(low) - 1, int(high) + 1):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(number, FIELDS[path].type)


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        (
            "gateway.controlUi.basePath",
            ["", "/a", "/a/b-c_d.e~f"],
            ["/", "/a/", "a", "/a//b", "/a/../b", "/.", "/a\n", "/ä", "/" + "a" * 256],
        ),
        ("gateway.auth.token", ["x", "ü ñ", "x" * 4096], ["", "a\n", "\n", "a\0", "x" * 4097, "\ud800"]),
        ("logging.file", ["/tmp/x.log"], ["", "/tmp/\0"]),
        (
            "gateway.auth.trustedProxy.userHeader",
            ["x-forwarded-user", "X_User", "x" * 256],
            ["", "x user", "x:", "ü", "x\n", "x" * 257],
        ),
        (
            "gateway.auth.identityScopes",
            [{}, {"ann@x.example": ("operator.read",), "bob": ()}],
            [[], {"": []}, {"a": ["operator.all"]}, {"a": "operator.read"}, {"a\n": []}],
        ),
        ("gateway.controlUi.allowedOrigins", [(), ("*", "https://a")], ["*", ("",), None]),
    ],
)
def test_texts_at_their_bounds(path: str, good: list[str], bad: list[str]) -> None:
    for text in good:
        assert msgspec.convert(text, FIELDS[path].type) == text
    for text in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, FIELDS[path].type)


def test_json_schema_carries_docs_and_effects() -> None:
    whole = json_schema()
    assert whole["$ref"] == "#/$defs/Config"
    port = whole["$defs"]["Gateway"]["properties"]["port"]
    assert (port["x-effect"], port["minimum"], port["maximum"], port["default"]) == ("unit", 1, 65_535, 18_789)
    assert port["description"]
    assert json_schema("gateway.auth.mode")["x-effect"] == "hot"
    assert json_schema("gateway.reload")["$ref"] == "#/$defs/Reload"
    with pytest.raises(KeyError):
        json_schema("gateway.tls")


def test_the_keys_of_a_section_are_in_the_schemas_order() -> None:
    assert keys_of("gateway")[:3] == ["port", "bind", "customBindHost"]
    assert SECTIONS["gateway"] is Section


def test_what_is_used_lies_over_what_was_written_and_the_rest_stays() -> None:
    written = {"gateway": {"port": "1", "remote": {"x": 1}}, "agents": [1], "logging": "odd"}
    used = {"gateway": {"port": 1, "bind": "loopback"}, "logging": {"level": "info"}}
    assert overlay(written, used) == {
        "gateway": {"port": 1, "bind": "loopback", "remote": {"x": 1}},
        "agents": [1],
        "logging": {"level": "info"},
    }
    assert written["gateway"] == {"port": "1", "remote": {"x": 1}}


@pytest.mark.parametrize(
    ("proxies", "good"), [(["10.0.0.0/8", "::1"], True), (["proxy.example"], False), (["10.0.0.0/33"], False)]
)  # fmt: skip
def test_trusted_proxies_are_addresses_or_networks(proxies: list[str], good: bool) -> None:
    tree = {"gateway": {"trustedProxies": proxies}}
    verdict = validate(tree, lambda path, *, key=False: TextPosition("f"), lambda name: None)
    assert (verdict.config is not None) is good
    assert [issue.path for issue in verdict.issues] == ([] if good else ["gateway.trustedProxies"])

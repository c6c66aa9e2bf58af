from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.fields import FIELDS
from gateway.config.parse import Path, TextPosition
from gateway.config.schema import Config
from gateway.config.validate import MAX_FOUND, Verdict, nearest, shorten, validate
from tests.effort import examples


def locate(path: Path, *, key: bool = False) -> TextPosition:
    return TextPosition("f", len(path), 2 if key else 1)


def check(tree: Any, env: dict[str, str] | None = None, **options: Any) -> Verdict:
    return validate(tree, locate, (env or {}).get, **options)


def issues(tree: Any, env: dict[str, str] | None = None) -> list[tuple[str, str]]:
    return [(issue.path, issue.message) for issue in check(tree, env).issues]


def test_an_empty_config_is_the_defaults() -> None:
    assert check({}) == Verdict(Config(), (), ())


def test_all_errors_at_once_with_their_places() -> None:
    verdict = check({"gateway": {"port": "x", "bind": 1, "auth": {"tokn": "s"}}, "logging": []})
    assert verdict.config is None
    assert [(issue.path, issue.line, issue.column) for issue in verdict.issues] == [
        ("gateway.port", 2, 1),
        ("gateway.bind", 2, 1),
        ("gateway.auth.tokn", 3, 2),
        ("logging", 1, 1),
    ]


@pytest.mark.parametrize(
    ("section", "key", "hint"),
    [
        ("", "Gateway", "gateway"),
        ("", "loging", "logging"),
        ("", "zzz", None),
        ("", "token", "gateway.auth.token"),
        ("gateway", "prot", "port"),
        ("gateway", "controlUI", "controlUi"),
        ("gateway", "custom_bind_host", "customBindHost"),
        ("gateway", "passwd", "gateway.auth.password"),
        ("gateway.auth", "tokn", "token"),
        ("gateway.auth", "Token", "token"),
        ("gateway.auth", "pasword", "password"),
        ("gateway.auth", "colour", None),
        ("gateway.reload", "debounce-ms", "debounceMs"),
        ("gateway.http.limits", "maxHeadersBytes", "maxHeadBytes"),
    ],
)
def test_misspelt_keys(section: str, key: str, hint: str | None) -> None:
    assert nearest(key, section) == hint


def test_sections_that_are_read_without_types() -> None:
    """What is read of them is not called unused, whatever stands there; what is not read is."""
    tree = {
        "agents": {"defaults": {"model": 5, "heartbeat": {"every": "1h"}, "a.b": 1}, "list": [5], "bindings": []},
        "models": 5,
        "mcp": {"servers": {"x": 1}, "apps": {}},
        "env": {"x": {"y": 1}},
    }
    verdict = check(tree)
    assert not verdict.issues
    assert verdict.unused == ("agents.defaults.heartbeat", "agents.defaults.a.b", "agents.bindings", "mcp.apps")


def test_a_misspelt_key_is_an_error_and_a_foreign_one_is_unused() -> None:
    verdict = check({"gateway": {"auth": {"tokn": "x", "colour": 1}, "tls": {"a": 1}}, "zzz": {"y": 1}, "meta": {}})
    assert [str(issue) for issue in verdict.issues] == ['f:3:2: gateway.auth.tokn: unknown key (did you mean "token"?)']
    assert verdict.unused == ("gateway.auth.colour", "gateway.tls", "zzz", "meta")


def test_a_key_with_a_dot_is_not_a_path() -> None:
    assert check({"gateway.port": 1}).config == Config()
    assert check({"gateway": {"auth.token": "x"}}).config == Config()


def test_numbers_are_javascripts() -> None:
    config = check({"gateway": {"port": 5.0}}).config
    assert config and config.gateway.port == 5
    assert issues({"gateway": {"port": True}}) == [("gateway.port", "not an allowed value")]
    assert issues({"gateway": {"port": float("inf")}}) == [("gateway.port", "not an allowed value")]


def test_the_environments_port_wins_and_its_secrets_fill_in() -> None:
    env = {"OPENCLAW_GATEWAY_PORT": "5", "OPENCLAW_GATEWAY_TOKEN": "env", "OPENCLAW_GATEWAY_PASSWORD": "env"}
    config = check({"gateway": {"port": 9, "auth": {"token": "file", "password": None}}}, env).config
    assert config and (config.gateway.port, config.gateway.auth.token, config.gateway.auth.password) == (
        5,
        "file",
        "env",
    )


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", "1.5", "١", "9" * 5000])
def test_a_bad_port_in_the_environment_names_the_variable(port: str) -> None:
    [issue] = check({}, {"OPENCLAW_GATEWAY_PORT": port}).issues
    assert "OPENCLAW_GATEWAY_PORT" in issue.message and issue.file == "" and issue.line is None
    assert issue.found and len(issue.found) <= MAX_FOUND


def test_a_bad_secret_in_the_environment_is_not_quoted() -> None:
    [issue] = check({}, {"OPENCLAW_GATEWAY_TOKEN": "s3c\n"}).issues
    assert "OPENCLAW_GATEWAY_TOKEN" in issue.message and "s3c" not in str(issue)


@pytest.mark.parametrize(
    ("gateway", "refused"),
    [
        ({"bind": "loopback"}, False),
        ({"bind": "auto"}, False),
        ({"bind": "custom", "customBindHost": "127.0.0.2"}, False),
        ({"bind": "custom", "customBindHost": "::1"}, False),
        ({"bind": "custom", "customBindHost": "0.0.0.0"}, True),
        ({"bind": "custom", "customBindHost": "fe80::1"}, True),
        ({"bind": "lan"}, True),
        ({"bind": "tailnet"}, True),
    ],
)
def test_nothing_that_others_can_reach_goes_without_auth(gateway: dict[str, Any], refused: bool) -> None:
    message = f"Refusing to bind to {gateway['bind']} without auth"
    found = issues({"gateway": {**gateway, "auth": {"mode": "none"}}})
    assert found == ([("gateway.auth.mode", message)] if refused else [])
    assert issues({"gateway": gateway}) == ([("gateway.auth.token", message)] if refused else [])
    for guarded in ({"token": "t"}, {"password": "p"}, {"mode": "password", "password": "p"}):
        assert issues({"gateway": {**gateway, "auth": guarded}}) == []
    assert issues({"gateway": gateway}, {"OPENCLAW_GATEWAY_TOKEN": "t"}) == []
    assert issues({"gateway": gateway}, {"OPENCLAW_GATEWAY_PASSWORD": "p"}) == []
    assert bool(issues({"gateway": gateway}, {"OPENCLAW_GATEWAY_TOKEN": ""})) is refused
    proxy = {"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x-user"}}
    assert issues({"gateway": {**gateway, "auth": proxy, "trustedProxies": ["10.0.0.1"]}}) == []


def test_password_mode_needs_a_password_from_anywhere() -> None:
    tree = {"gateway": {"auth": {"mode": "password"}}}
    assert issues(tree) == [("gateway.auth.mode", "password needs a password")]
    assert issues(tree, {"OPENCLAW_GATEWAY_PASSWORD": "p"}) == []
    assert issues({"gateway": {"auth": {"mode": "token"}}}) == []


def test_a_token_of_the_environment_is_a_second_door_beside_the_proxy_as_well() -> None:
    auth = {"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x-user"}}
    tree = {"gateway": {"auth": auth, "trustedProxies": ["10.0.0.1"]}}
    assert issues(tree) == []
    assert issues(tree, {"OPENCLAW_GATEWAY_PASSWORD": "p"}) == []
    [(path, message)] = issues(tree, {"OPENCLAW_GATEWAY_TOKEN": "t"})
    assert path == "gateway.auth.mode" and "mutually exclusive" in message


def test_one_mistake_is_one_error() -> None:
    """A password that is invalid is not missing as well, nor is a host."""
    assert len(issues({"gateway": {"auth": {"mode": "password", "password": ""}}})) == 1
    assert len(issues({"gateway": {"bind": "custom", "customBindHost": "x"}})) == 1
    assert check({"gateway": {"port": "${X}"}}, failed=frozenset({"gateway.port"})).issues == ()
    assert check({"gateway": {"auth": {"mode": "password"}}}, complete=False).issues == ()


def test_found_values_are_short_and_secrets_are_not_shown() -> None:
    assert shorten("x" * 100) == '"' + "x" * (MAX_FOUND - 2) + "…"
    assert len(shorten("x" * 100)) == MAX_FOUND and shorten("x" * (MAX_FOUND - 2)).endswith('"')
    assert (shorten({"a": "secret"}), shorten(["secret"]), shorten("secret", True)) == (
        "an object",
        "an array",
        "a text",
    )
    assert (shorten("", True), shorten(None, True), shorten(None)) == ("an empty text", "null", "null")
    assert [shorten(value, True) for value in (7, 7.5, True)] == ["a number", "a number", "a boolean"]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["gateway", "logging", "auth", "token", "port", "mode", "reload", "http", "limits", "a.b", ""]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(ANY)
@settings(deadline=None, max_examples=examples(200))
def test_any_tree_has_a_verdict(tree: Any) -> None:
    verdict = check(tree)
    assert (verdict.config is None) == bool(verdict.issues)
    assert all(issue.path and issue.message for issue in verdict.issues)
    assert not set(verdict.unused) & FIELDS.keys()


@pytest.mark.parametrize(
    ("mode", "origins", "refused"),
    [
        ("none", ["*"], True),
        ("none", ["https://a.example", "*"], True),
        ("none", ["https://a.example"], False),
        ("token", ["*"], False),
        ("password", ["*"], False),
    ],
)
def test_without_auth_not_every_page_may_come(mode: str, origins: list[str], refused: bool) -> None:
    tree = {"gateway": {"auth": {"mode": mode, "password": "p"}, "controlUi": {"allowedOrigins": origins}}}
    path = "gateway.controlUi.allowedOrigins"
    assert issues(tree) == ([(path, "with auth mode none every page would be admin")] if refused else [])


def test_auto_lets_others_in_where_it_is_a_container() -> None:
    tree = {"gateway": {"bind": "auto"}}
    [issue] = check(tree, in_container=True).issues
    assert "all addresses, as auto is in a container, without auth" in issue.message
    assert check({"gateway": {**tree["gateway"], "auth": {"token": "t"}}}, in_container=True).issues == ()

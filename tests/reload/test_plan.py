from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.compare import differences
from gateway.config.fields import FIELDS
from gateway.config.schema import Config
from gateway.config.setting import ACTIONS
from gateway.reload.plan import MAX_PATHS_SHOWN, Plan, describe, make_plan
from gateway.report import Change
from tests.effort import examples


def plan(old: dict[str, Any], new: dict[str, Any], mode: str = "hybrid", systemd: bool = True) -> Plan:
    return make_plan(old, new, msgspec.convert(old, Config), msgspec.convert(new, Config), mode, systemd)


def gateway(**values: Any) -> dict[str, Any]:
    return {"gateway": values}


def test_nothing_changed() -> None:
    assert plan({}, {}) == Plan((), False, (), (), (), "nothing")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"meta": {"lastTouchedAt": "a"}}, {"meta": {"lastTouchedAt": "b"}}),
        ({}, {"channels": {"slack": {"botToken": "x"}}}),
        ({"whatever": [1]}, {}),
        ({}, gateway(port=18789)),
        (gateway(bind="loopback", reload={"mode": "hybrid"}), {}),
        ({}, gateway(auth={"token": None})),
        ({}, gateway(remote={"url": "x"})),
        ({}, {"gateway.port": 1}),
    ],
    ids=["meta", "channel", "unknown", "port default", "defaults dropped", "null", "remote", "dot in a key"],
)
@pytest.mark.parametrize("mode", ["hot", "hybrid", "restart"])
def test_a_change_without_meaning_for_us_does_nothing(old: dict[str, Any], new: dict[str, Any], mode: str) -> None:
    made = plan(old, new, mode)
    assert made.outcome == "nothing" and not made.restart
    assert made.changes and {change.effect for change in made.changes} == {"none"}


@pytest.mark.parametrize(
    ("path", "effect"),
    [
        ("agents.defaults.model.primary", "hot"),
        ("agents.list", "hot"),
        ("agents.entries.helper.name", "hot"),
        ("models.providers.mock.apiKey", "hot"),
        ("mcp.servers.files.command", "hot"),
        ("env.vars.KEY", "hot"),
        ("session.mainKey", "hot"),
        ("agents.defaults.heartbeat.every", "none"),
        ("models.mode", "none"),
        ("mcp.apps", "none"),
        ("modelsX.providers", "none"),
    ],
)
def test_what_is_read_without_types_is_taken_on_use(path: str, effect: str) -> None:
    tree: Any = "x"
    for key in reversed(path.split(".")):
        tree = {key: tree}
    made = plan({}, tree, "hybrid")
    assert [(change.path, change.effect, change.action) for change in made.changes] == [(path, effect, None)]
    assert (made.outcome, made.restart) == ("hot" if effect == "hot" else "nothing", False)


def test_hot_actions_run_once_each_and_in_their_order() -> None:
    made = plan({}, {**gateway(auth={"token": "a", "password": "b"}), "logging": {"level": "debug", "file": "/l"}})
    assert made.outcome == "hot"
    assert made.actions == ACTIONS == ("logging", "auth")
    assert [change.path for change in made.changes] == [
        "gateway.auth.password",
        "gateway.auth.token",
        "logging.file",
        "logging.level",
    ]


def test_a_hot_change_read_on_use_has_no_action() -> None:
    made = plan({}, gateway(reload={"debounceMs": 5}, http={"limits": {"maxHeaders": 5}}))
    assert (made.outcome, made.actions) == ("hot", ())


BASE_PATH = gateway(controlUi={"basePath": "/ui"})
TOKEN = gateway(auth={"token": "t"})
BOTH = gateway(controlUi={"basePath": "/ui"}, auth={"token": "t"})
PORT = gateway(port=1)


@pytest.mark.parametrize(
    ("new", "mode", "outcome", "actions", "ignored"),
    [
        (BASE_PATH, "hybrid", "restart", (), ()),
        (BASE_PATH, "restart", "restart", (), ()),
        (BASE_PATH, "hot", "ignored", (), ("gateway.controlUi.basePath",)),
        (BASE_PATH, "off", "off", (), ()),
        (TOKEN, "hybrid", "hot", ("auth",), ()),
        (TOKEN, "restart", "restart", (), ()),
        (TOKEN, "hot", "hot", ("auth",), ()),
        (BOTH, "hybrid", "restart", ("auth",), ()),
        (BOTH, "hot", "hot", ("auth",), ("gateway.controlUi.basePath",)),
        ({}, "off", "nothing", (), ()),
    ],
)
def test_modes(
    new: dict[str, Any], mode: str, outcome: str, actions: tuple[str, ...], ignored: tuple[str, ...]
) -> None:
    made = plan({}, new, mode)
    assert (made.outcome, made.actions, made.ignored) == (outcome, actions, ignored)
    assert made.restart == (outcome == "restart")


@pytest.mark.parametrize("mode", ["hybrid", "restart", "hot"])
def test_systemd_keeps_the_port_until_install(mode: str) -> None:
    made = plan({}, PORT, mode)
    assert (made.unit, made.restart, made.ignored, made.outcome) == (("gateway.port",), False, (), "ignored")
    assert made.changes == (Change("gateway.port", "unit"),)


def test_without_systemd_a_new_port_is_a_restart() -> None:
    made = plan({}, PORT, systemd=False)
    assert (made.unit, made.restart, made.outcome) == ((), True, "restart")
    assert plan({}, PORT, "hot", systemd=False).ignored == ("gateway.port",)


def test_the_effective_value_decides_not_the_text() -> None:
    """A port in the file that OPENCLAW_GATEWAY_PORT overrides means nothing; a token that only .env changed does."""
    config = msgspec.convert(gateway(port=9), Config)
    made = make_plan(gateway(port=1), gateway(port=2), config, config, "hybrid", False)
    assert made.changes == (Change("gateway.port", "none"),)
    rotated = msgspec.convert(gateway(port=9, auth={"token": "new"}), Config)
    made = make_plan({}, {}, config, rotated, "hybrid", False)
    assert made.changes == (Change("gateway.auth.token", "hot", "auth"),)


def test_each_change_has_one_fate() -> None:
    new = {**gateway(port=1, auth={"token": "t"}, controlUi={"basePath": "/ui"}), "meta": {"x": 1}}
    expected = {
        ("hybrid", True): {"port": "unit", "token": "hot", "basePath": "restart", "x": "none"},
        ("hybrid", False): {"port": "restart", "token": "hot", "basePath": "restart", "x": "none"},
        ("hot", False): {"port": "ignored", "token": "hot", "basePath": "ignored", "x": "none"},
        ("restart", True): {"port": "unit", "token": "restart", "basePath": "restart", "x": "none"},
        ("off", True): {"port": "none", "token": "none", "basePath": "none", "x": "none"},
    }
    for (mode, systemd), fates in expected.items():
        made = plan({}, new, mode, systemd)
        assert {change.path.split(".")[-1]: made.fate(change) for change in made.changes} == fates


def test_the_log_line_is_openclaws_and_bounded() -> None:
    def changes(count: int) -> tuple[Change, ...]:
        return tuple(Change(f"k{number}", "none") for number in range(count))

    assert describe(changes(2)) == "config change detected; evaluating reload (k0, k1)"
    assert "more" not in describe(changes(MAX_PATHS_SHOWN))
    assert describe(changes(MAX_PATHS_SHOWN + 3)).endswith(f"k{MAX_PATHS_SHOWN - 1}, +3 more)")


VALUES = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.sampled_from(["", "a", "b"])
UNKNOWN = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
KNOWN = {
    "gateway": st.fixed_dictionaries(
        {},
        optional={
            "port": st.integers(1, 3),
            "bind": st.sampled_from(["loopback", "lan"]),
            "auth": st.fixed_dictionaries({}, optional={"token": st.sampled_from("xy")}),
            "controlUi": st.fixed_dictionaries({}, optional={"basePath": st.sampled_from(["", "/a"])}),
            "remote": UNKNOWN,
        },
    ),
    "logging": st.fixed_dictionaries({}, optional={"level": st.sampled_from(["info", "debug"]), "redact": UNKNOWN}),
}
TREES = st.fixed_dictionaries({}, optional={**KNOWN, "meta": UNKNOWN, "channels": UNKNOWN})
MODES = st.sampled_from(["off", "hot", "restart", "hybrid"])


def shuffled(tree: Any) -> Any:
    return {key: shuffled(tree[key]) for key in reversed(tree)} if isinstance(tree, dict) else tree


@given(TREES, MODES, st.booleans())
@settings(max_examples=examples(60), deadline=None)
def test_the_same_tree_is_no_change_however_its_keys_are_ordered(tree: Any, mode: str, systemd: bool) -> None:
    assert plan(tree, shuffled(tree), mode, systemd) == Plan((), False, (), (), (), "nothing")


@given(TREES, TREES, MODES, st.booleans())
@settings(max_examples=examples(150), deadline=None)
def test_laws_of_a_plan(old: Any, new: Any, mode: str, systemd: bool) -> None:
    made, back = plan(old, new, mode, systemd), plan(new, old, mode, systemd)
    paths = [change.path for change in made.changes]
    assert paths == sorted(set(paths)) == [change.path for change in back.changes]
    assert set(differences(old, new)) <= set(paths)
    assert plan(shuffled(old), new, mode, systemd) == made
    for change in made.changes:
        rule = FIELDS.get(change.path)
        assert change.effect == "none" or (rule and (change.effect, change.action) == (rule.effect, rule.action))
    assert made.restart == (made.outcome == "restart")
    assert not (made.restart and mode in ("off", "hot"))
    assert not (made.unit and not systemd)
    if mode != "off":
        used = {change.path for change in made.changes if change.effect != "none"}
        fates = {path for path in used if made.restart or path in {*made.unit, *made.ignored, *made.hot}}
        assert fates == used


@given(TREES, UNKNOWN, UNKNOWN, MODES)
@settings(max_examples=examples(60), deadline=None)
def test_a_key_that_we_do_not_use_never_does_anything(tree: Any, old: Any, new: Any, mode: str) -> None:
    made = plan({**tree, "meta": old}, {**tree, "meta": new}, mode)
    assert not made.restart and not made.actions and made.outcome in ("nothing", "off")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.keys import BadKey, canonical, owner
from gateway.sessions.records import GLOBAL, MAX_KEY


def key(text: str, scope: str = "per-sender") -> str:
    return canonical(text, "main", "home", scope)


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("main", "agent:main:home"),
        ("  MAIN ", "agent:main:home"),
        ("home", "agent:main:home"),
        ("lunch", "agent:main:lunch"),
        ("telegram:group:7", "agent:main:telegram:group:7"),
        ("agent:Work:Lunch", "agent:work:lunch"),
        ("agent:work:main", "agent:work:home"),
        ("agent:work:a:b", "agent:work:a:b"),
        ("Global", "global"),
        ("unknown", "unknown"),
    ],
)
def test_a_key_has_one_form(said: str, stored: str) -> None:
    assert key(said) == stored


def test_with_one_session_for_all_the_main_one_is_global() -> None:
    assert key("main", GLOBAL) == key("home", GLOBAL) == key("agent:work:main", GLOBAL) == GLOBAL
    assert key("lunch", GLOBAL) == "agent:main:lunch"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "must not be empty"),
        (" \n", "must not be empty"),
        ("agent:main", "has the form agent:<agent id>:<rest>"),
        ("agent::x", "has the form agent:<agent id>:<rest>"),
        ("agent:../..:x", "has the form agent:<agent id>:<rest>"),
        (f"agent:{'a' * 65}:x", "has the form agent:<agent id>:<rest>"),
        ("agent:main:", "has the form agent:<agent id>:<rest>"),
        ("a\x00b", "has no control characters"),
        ("a" * (MAX_KEY - len("agent:main:") + 1), f"has at most {MAX_KEY} characters"),
    ],
)
def test_what_can_be_no_key_says_why(said: str, why: str) -> None:
    with pytest.raises(BadKey, match=why):
        key(said)


def test_a_key_with_its_agent_may_be_as_long_as_its_bound() -> None:
    assert len(key("a" * (MAX_KEY - len("agent:main:")))) == MAX_KEY


@given(st.text())
def test_a_canonical_key_stays_what_it_is(said: str) -> None:
    try:
        stored = key(said)
    except BadKey:
        return
    assert key(stored) == stored


@pytest.mark.parametrize(
    ("stored", "agent"), [("agent:work:lunch", "work"), ("agent:work:a:b", "work"), ("global", "main")]
)
def test_a_session_belongs_to_the_agent_that_its_key_names(stored: str, agent: str) -> None:
    assert owner(stored, "main") == agent

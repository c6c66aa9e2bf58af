from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rpc.redaction import REDACTED, Unrestorable, redact, restore


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"auth": {"mode": "token", "token": "t0k"}}, {"auth": {"mode": "token", "token": REDACTED}}),
        ({"models": [{"apiKey": "x", "maxTokens": 5}]}, {"models": [{"apiKey": REDACTED, "maxTokens": 5}]}),
        ({"botToken": "", "password": None}, {"botToken": "", "password": None}),
        ({"token": "${OPENCLAW_TOKEN}"}, {"token": "${OPENCLAW_TOKEN}"}),
        ({"token": "${A}-and-more"}, {"token": REDACTED}),
        ({"tokens": ["a", "b"]}, {"tokens": [REDACTED, REDACTED]}),
        ({"tokenFile": "/run/token"}, {"tokenFile": "/run/token"}),
        ({"token": {"source": "env", "id": "X"}}, {"token": {"source": "env", "id": "X"}}),
        ({"env": {"vars": {"REGION": "eu"}}}, {"env": {"vars": {"REGION": REDACTED}}}),
        ({"env": {"REGION": "eu", "shellEnv": {"on": True}}}, {"env": {"REGION": REDACTED, "shellEnv": {"on": True}}}),
        ({"headers": {"X-Own": "s"}}, {"headers": {"X-Own": REDACTED}}),
        ({"AWS_SECRET_ACCESS_KEY": "s"}, {"AWS_SECRET_ACCESS_KEY": REDACTED}),
        ({"url": "postgres://me:pw@host/db"}, {"url": REDACTED}),
        ({"url": "http://host:80/a@b"}, {"url": "http://host:80/a@b"}),
        ({"text": "see https://host/v1?key=k and more"}, {"text": REDACTED}),
        ({"text": "a :// b@c ://"}, {"text": "a :// b@c ://"}),
        ({"baseUrl": "https://k@host/"}, {"baseUrl": REDACTED}),
        ({"url": "https://host/#token=k"}, {"url": REDACTED}),
        ({"args": ["--api-key", "k", "-v"]}, {"args": ["--api-key", REDACTED, "-v"]}),
        ({"args": ["--token=k", "x", 5]}, {"args": [REDACTED, "x", 5]}),
        ({"args": ["--url", "https://u:p@h/", "--port", "80"]}, {"args": ["--url", REDACTED, "--port", "80"]}),
        ({"args": "token"}, {"args": "token"}),
        ({"pin": 1234, "maxTokens": 9, "tokenTtlMs": 5}, {"pin": REDACTED, "maxTokens": 9, "tokenTtlMs": 5}),
        ({"webhookUrl": "w", "webhookPort": 80}, {"webhookUrl": REDACTED, "webhookPort": 80}),
        ({"key": "k", "keys": "shown", "pat": "p", "path": "/p"}, {"key": REDACTED, "keys": "shown", "pat": REDACTED,
                                                                   "path": "/p"}),
        ({"secret": True}, {"secret": True}),
        ({"name": "plain", "port": 1}, {"name": "plain", "port": 1}),
    ],
)  # fmt: skip
def test_what_is_shown(value: Any, shown: Any) -> None:
    assert redact(value) == shown


CONFIG = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["token", "apiKey", "name", "env", "list", "url"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(CONFIG)
def test_redacting_twice_changes_nothing_more(value: Any) -> None:
    once = redact(value)
    assert redact(once) == once


@given(st.text(min_size=1, max_size=20).filter(lambda text: not text.startswith("${")), CONFIG)
def test_a_secret_never_shows(secret: str, around: Any) -> None:
    shown = redact({"a": [{"b": around, "token": f"<{secret}>"}]})
    assert shown["a"][0]["token"] == REDACTED


@pytest.mark.parametrize(
    ("value", "file", "restored"),
    [
        ({"token": REDACTED}, {"token": "t"}, {"token": "t"}),
        ({"a": {"b": [{"token": REDACTED}]}}, {"a": {"b": [{"token": "t"}]}}, {"a": {"b": [{"token": "t"}]}}),
        ({"tokens": [REDACTED, "new"]}, {"tokens": ["a", "b"]}, {"tokens": ["a", "new"]}),
        ([{"n": 2, "token": REDACTED}], [{"n": 1, "token": "a"}, {"n": 2, "token": "b"}], [{"n": 2, "token": "b"}]),
        (
            [{"n": 2, "token": REDACTED}, {"n": 1, "token": REDACTED}],
            [{"n": 1, "token": "a"}, {"n": 2, "token": "b"}],
            [{"n": 2, "token": "b"}, {"n": 1, "token": "a"}],
        ),
        ({"env": {"A": REDACTED}}, {"env": {"A": "x"}}, {"env": {"A": "x"}}),
        ({"pin": REDACTED}, {"pin": 1234}, {"pin": 1234}),
        ({"args": ["--key", REDACTED, "-v"]}, {"args": ["--key", "k", "-v"]}, {"args": ["--key", "k", "-v"]}),
    ],
)  # fmt: skip
def test_a_placeholder_becomes_the_secret_again(value: Any, file: Any, restored: Any) -> None:
    assert restore(value, file) == restored


@pytest.mark.parametrize(
    ("value", "file", "path"),
    [
        ({"token": REDACTED}, {}, "token"),
        ({"name": REDACTED}, {"name": "plain"}, "name"),
        ({"token": f"Bearer {REDACTED}"}, {"token": "t"}, "token"),
        ({"a": {"tokens": [REDACTED]}}, {"a": {"tokens": ["a", "b"]}}, "a.tokens.0"),
        ({"l": [{"id": "c", "token": REDACTED}]}, {"l": [{"id": "a", "token": "t"}]}, "l.0.token"),
        ({"token": REDACTED}, {"token": REDACTED}, "token"),
    ],
)
def test_a_placeholder_that_stands_for_nothing_is_refused(value: Any, file: Any, path: str) -> None:
    with pytest.raises(Unrestorable) as caught:
        restore(value, file)
    assert caught.value.path == path


def test_a_secret_from_elsewhere_is_left_there() -> None:
    assert restore({"token": REDACTED, "n": 1}, {}, {"token": REDACTED}) == {"n": 1}
    assert restore({"token": REDACTED}, {"token": "${T}"}, {"token": REDACTED}) == {"token": "${T}"}


@given(CONFIG)
def test_what_was_shown_is_restored(value: Any) -> None:
    file = {"config": value}
    assert restore(redact(file), file) == file


@pytest.mark.parametrize("piece", [":", "a://", "a://:", "a://a:", "://@", "?", " ", "a:// ", "@", "--"])
def test_a_text_is_looked_at_once(piece: str) -> None:
    """A pattern for addresses took minutes for 100 KB. This is over in no time, or it hangs."""
    text = "a://" + piece * 50_000
    redact({"text": text, "args": [text], "x" + piece * 20_000: "y"})


def test_a_place_of_a_secret_is_hidden_whatever_its_name() -> None:
    request = {"auth": {"mode": "header", "value": "s"}, "tls": {"ca": "c", "serverName": "n"}}
    shown = redact({"models": {"providers": {"p": {"request": request}}}})["models"]["providers"]["p"]["request"]
    assert shown == {"auth": {"mode": "header", "value": REDACTED}, "tls": {"ca": REDACTED, "serverName": "n"}}

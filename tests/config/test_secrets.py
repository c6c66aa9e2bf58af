"""No message quotes a secret: they reach the log and, through STATUS=, `systemctl status`."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.fields import FIELDS
from gateway.config.files import read

DIGITS = st.integers(10**17, 10**18 - 1).map(str)
WORD = st.text(alphabet="GHJKQVWXYZghjkqvwxyz", min_size=12, max_size=30)
"""Long and of letters that no message has in such a row."""
PLACES = (
    *(rule.keys for rule in FIELDS.values() if rule.secret),
    # written in the wrong place, or misspelt
    ("token",),
    ("gateway", "token"),
    ("gateway", "passwd"),
    ("gateway", "auth", "tokn"),
    ("gateway", "auth"),
    ("gateway",),
)


def scalars(secret: str) -> list[Any]:
    """What a secret looks like in JSON, on one line and on two."""
    return [secret, f"{secret}\n", f"{secret}\n{secret}", *([int(secret), -int(secret)] if secret.isdigit() else [])]


def nested(secret: str) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.sampled_from(scalars(secret)),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, min_size=1)
        ),
        max_leaves=3,
    )


def written(place: tuple[str, ...], value: str) -> str:
    for key in reversed(place):
        value = f"{{{json.dumps(key)}: {value}}}"
    return value


def said(text: str, env: dict[str, str] | None = None) -> str:
    """Everything that one reading of this text says."""
    found = read(Path("/nowhere/openclaw.json"), env or {}, text=text)
    return "\n".join([*map(str, found.issues), *found.warnings, *found.unused])


@given(st.data(), st.sampled_from(PLACES), WORD | DIGITS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_secret_of_any_type_in_any_place_is_not_quoted(data: Any, place: tuple[str, ...], secret: str) -> None:
    value = data.draw(nested(secret))
    assert secret[:4] not in said(written(place, json.dumps(value)))


@given(
    st.sampled_from(PLACES),
    WORD | DIGITS,
    st.sampled_from(["", "{", "[", '"', "'", '""', "-", "0", "0x", "$", "=", "\\", "/", "true ", "1 ", "é", "{a: "]),
    st.sampled_from(["", "x", "-1", " x", '"', "'", "=", ".1.", ":", "}", "]", "\\", "\n"]),
)
@settings(deadline=None)
def test_a_secret_without_proper_quotes_is_not_quoted(
    place: tuple[str, ...], secret: str, before: str, after: str
) -> None:
    assert secret[:4] not in said(written(place, before + secret + after))


@given(WORD | DIGITS, st.sampled_from(["", '"', "{", "["]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_secret_in_an_included_file_is_not_quoted(tmp_path: Path, secret: str, before: str) -> None:
    (tmp_path / "part").write_text(before + secret)
    text = written(("gateway", "auth", "token"), '{"$include": "part"}')
    found = read(tmp_path / "openclaw.json", {}, text=text)
    assert found.issues
    assert not any(secret[:4] in str(issue) for issue in found.issues)


@pytest.mark.parametrize("variable", ["OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD"])
def test_a_secret_in_the_environment_is_not_quoted(variable: str) -> None:
    assert variable in said("{}", {variable: "s3cret\n"})
    assert "s3c" not in said("{}", {variable: "s3cret\n"})


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("123456789012", "gateway.auth.token: not an allowed value; found a number"),
        ("true", "found a boolean"),
        ("SEKRETxyz", "expected a value, found 'S…' (a text needs quotes)"),
        ("{SEKRETxyz}", "expected \":\" after a key, found '}'"),
        ("1234abcd", "this is not a number (a text needs quotes)"),
        ('"a"SEKRETxyz', 'expected "," or "}", found \'S…\''),
    ],
)
def test_what_is_said_instead(value: str, part: str) -> None:
    assert part in said(written(("gateway", "auth", "token"), value))

import re

import pytest

from gateway.config.setting import Effect, Header, Text, rule


def test_what_stands_beside_a_value() -> None:
    meta = rule("Doc.", Effect.HOT, action="auth", ge=1)
    assert (meta.description, meta.ge, meta.extra_json_schema) == ("Doc.", 1, {"x-effect": "hot"})
    assert meta.extra == {"effect": Effect.HOT, "action": "auth", "secret": False, "allowed": None}


@pytest.mark.parametrize(("kind", "good", "bad"), [(Text, "a b", "a\n"), (Header, "x-user", "x user\n")])
def test_a_text_is_of_one_line(kind: object, good: str, bad: str) -> None:
    pattern = kind.__metadata__[0].pattern  # type: ignore[attr-defined]
    assert re.search(pattern, good) and not re.search(pattern, bad)

import pytest

from gateway.protocol.scopes import ADMIN, READ, WRITE, Scope, granted, refuse


@pytest.mark.parametrize(
    ("protocol", "role", "requested", "scopes"),
    [
        (3, "operator", [], ("operator.admin",)),
        (3, "operator", ["operator.read"], ("operator.read",)),
        (3, "node", [], ()),
        (4, "operator", [], ()),
        (4, "operator", ["a", "b", "a"], ("a", "b")),
    ],
)
def test_granted(protocol: int, role: str, requested: list[str], scopes: tuple[str, ...]) -> None:
    assert granted(protocol, role, requested) == scopes


@pytest.mark.parametrize(
    ("scopes", "needed", "allowed"),
    [
        ((), None, True),
        ((), READ, False),
        ((READ,), READ, True),
        ((WRITE,), READ, True),
        ((READ,), WRITE, False),
        ((WRITE,), ADMIN, False),
        ((ADMIN,), READ, True),
        ((ADMIN,), ADMIN, True),
        (("operator.pairing",), READ, False),
    ],
)
def test_who_may(scopes: tuple[str, ...], needed: Scope | None, allowed: bool) -> None:
    assert (refuse(4, "operator", scopes, needed) is None) is allowed


def test_each_version_has_its_refusal() -> None:
    old, new = refuse(3, "operator", (), READ), refuse(4, "operator", (), READ)
    assert old and new
    assert (old.code, old.message, old.details) == ("INVALID_REQUEST", "missing scope: operator.read", None)
    assert (new.code, new.message) == ("FORBIDDEN", "missing scope: operator.read")
    assert new.details == {
        "code": "MISSING_SCOPE",
        "missingScope": "operator.read",
        "requiredScopes": ["operator.read"],
    }


def test_a_node_may_call_nothing_of_ours() -> None:
    error = refuse(4, "node", (ADMIN,), None)
    assert error is not None
    assert error.message == "unauthorized role: node"

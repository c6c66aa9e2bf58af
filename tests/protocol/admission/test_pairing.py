"""What a device may have, by what it is, was given and asks for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.admission.pairing import (
    Device,
    PairingRequest,
    Pending,
    Token,
    TokenFacts,
    auto_approved,
    covers,
    is_revoked,
    merged,
    missing_approval,
    record_from,
    union,
    with_token,
    without_role,
)
from gateway.protocol.scopes import ADMIN, READ, WRITE

SCOPES = (ADMIN, READ, WRITE, "operator.approvals", "node.exec")


def device(**more: Any) -> Device:
    facts = {"device_id": "d", "public_key": "k", "created_at_ms": 1, "approved_at_ms": 2, "roles": ("operator",)}
    return Device(**{**facts, **more})


def token(role: str, **more: Any) -> Token:
    return Token(**{"role": role, "scopes": (), "created_at_ms": 3, "token": f"of {role}", **more})


def pending(**more: Any) -> Pending:
    return Pending(**{"device_id": "d", "public_key": "k", "request_id": "r", "ts": 5, "roles": ("operator",), **more})


def asking(**more: Any) -> PairingRequest:
    facts = {"device_id": "d", "public_key": "k", "role": "operator", "local": True, "protocol": 4}
    return PairingRequest(**{**facts, **more})


@pytest.mark.parametrize(
    ("held", "wanted", "enough"),
    [
        ((), (), True),
        ((), (READ,), False),
        ((READ,), (READ,), True),
        ((READ,), (WRITE,), False),
        ((WRITE,), (READ, WRITE), True),
        ((WRITE,), ("operator.approvals",), False),
        ((ADMIN,), (ADMIN, READ, WRITE, "operator.approvals"), True),
        ((ADMIN,), ("node.exec",), False),
        ((ADMIN, "node.exec"), ("node.exec", READ), True),
        ((READ, WRITE), (ADMIN,), False),
    ],
)
def test_what_covers_what(held: tuple[str, ...], wanted: tuple[str, ...], enough: bool) -> None:
    assert covers(held, wanted) is enough


@given(*[st.lists(st.sampled_from(SCOPES), max_size=4)] * 3)
def test_covering_is_an_order(a: list[str], b: list[str], c: list[str]) -> None:
    assert covers(a, a) and covers(a, ()) and covers(union(a, b), b)
    if covers(a, b) and covers(b, c):
        assert covers(a, c)
    assert covers(a, union(b, c)) is (covers(a, b) and covers(a, c))


def test_a_union_names_each_once_in_the_order_of_its_coming() -> None:
    assert union(("b", "a"), (), ("a", "c", "b")) == ("b", "a", "c")
    assert union() == ()


def test_a_record_is_made_of_what_it_shares() -> None:
    held = token("node", scopes=(READ,), last_used_at_ms=9)
    facts = TokenFacts(role="node", scopes=(READ,), created_at_ms=3, last_used_at_ms=9)
    assert record_from(TokenFacts, held) == facts
    assert record_from(Token, facts, token="t", created_at_ms=4) == token("node", scopes=(READ,), created_at_ms=4,
                                                                     last_used_at_ms=9, token="t")  # fmt: skip


REVOKED = {"operator": token("operator", revoked_at_ms=7)}


@pytest.mark.parametrize(
    ("known", "key", "role", "why"),
    [
        (None, "k", "operator", "not-paired"),
        (device(), "other", "operator", "not-paired"),
        (device(), "k", "node", "role-upgrade"),
        (device(tokens=REVOKED), "k", "operator", "role-upgrade"),
        (device(tokens={"operator": token("operator")}), "k", "operator", "scope-upgrade"),
        (device(scopes=(WRITE,)), "k", "operator", None),
        (device(roles=(), role="operator", scopes=(ADMIN,)), "k", "operator", None),
        (device(roles=("operator", "node"), tokens=REVOKED, scopes=(READ,)), "k", "node", None),
    ],
)
def test_what_a_device_lacks(known: Device | None, key: str, role: str, why: str | None) -> None:
    assert missing_approval(known, key, role, (READ,)) == why


@pytest.mark.parametrize(
    ("known", "more", "silent"),
    [
        (None, {}, True),
        (None, {"local": False}, False),
        (None, {"role": "node"}, True),
        (None, {"role": "node", "local": False, "protocol": 3}, False),
        (device(), {}, True),
        (device(), {"local": False}, False),
        (device(tokens=REVOKED), {}, True),
        (device(), {"role": "node"}, False),
        (device(), {"role": "node", "protocol": 3}, True),
        (device(), {"role": "node", "protocol": 3, "local": False}, False),
        (device(tokens={"node": token("node", revoked_at_ms=7)}), {"role": "node", "protocol": 3}, False),
    ],
)
def test_whether_somebody_has_to_be_asked(known: Device | None, more: dict[str, Any], silent: bool) -> None:
    assert auto_approved(known, asking(**more)) is silent


def test_a_new_device_has_what_was_approved() -> None:
    made = merged(None, pending(roles=("node",), scopes=(READ,), display_name="a phone", remote_ip="192.0.2.1"), 50)
    assert made == device(created_at_ms=50, approved_at_ms=50, roles=("node",), scopes=(READ,),
                          display_name="a phone", remote_ip="192.0.2.1")  # fmt: skip


def test_a_known_device_keeps_what_it_had() -> None:
    before = device(scopes=(READ,), display_name="a phone", tokens={"operator": token("operator")})
    made = merged(before, pending(roles=("node",), scopes=(WRITE, READ)), 50)
    assert (made.roles, made.scopes) == (("operator", "node"), (READ, WRITE))
    assert (made.created_at_ms, made.approved_at_ms, made.display_name) == (1, 50, "a phone")
    assert made.tokens == before.tokens
    assert merged(before, pending(display_name="a tablet"), 50).display_name == "a tablet"


def test_what_was_revoked_is_forgotten_where_it_was_approved_anew() -> None:
    tokens = {"operator": token("operator", revoked_at_ms=7), "node": token("node", revoked_at_ms=7)}
    made = merged(device(roles=("operator", "node"), tokens=tokens), pending(roles=("node",)), 50)
    assert is_revoked(made, "operator") and not is_revoked(made, "node") and made.tokens.keys() == {"operator"}


def test_a_role_that_is_revoked_takes_its_scopes_with_it() -> None:
    tokens = {"operator": token("operator", scopes=(ADMIN,)), "node": token("node", scopes=(ADMIN, "node.exec", "x"))}
    before = device(roles=("operator", "node"), scopes=(ADMIN, "node.exec", "operatorial", "x"), tokens=tokens)
    after = without_role(before, "operator")
    assert after.scopes == after.tokens["node"].scopes == ("node.exec",)
    after = without_role(before, "node")
    assert after.scopes == after.tokens["operator"].scopes == (ADMIN,)
    assert without_role(device(scopes=(ADMIN, "")), "operator").scopes == ()


def test_what_is_approved_after_a_revocation_replaces_what_was() -> None:
    before = device(scopes=(ADMIN,), tokens={"operator": token("operator", revoked_at_ms=7, scopes=(ADMIN,))})
    assert merged(before, pending(scopes=(READ,)), 50).scopes == (READ,)
    assert merged(before, pending(), 50).scopes == ()


def test_another_key_inherits_nothing() -> None:
    before = device(scopes=(ADMIN,), display_name="a phone", tokens={"operator": token("operator")})
    made = merged(before, pending(public_key="other", roles=("node",), scopes=(READ,)), 50)
    assert made == device(public_key="other", roles=("node",), scopes=(READ,), created_at_ms=50, approved_at_ms=50)


def test_a_token_takes_the_place_of_its_roles_last_one() -> None:
    before = device(tokens={"operator": token("operator"), "node": token("node")})
    after = with_token(before, token("node", token="another"))
    assert {role: held.token for role, held in after.tokens.items()} == {"operator": "of operator", "node": "another"}
    assert before.tokens["node"].token == "of node"

"""Roles and scopes: which methods a client may call, and the refusals that each version expects."""

from collections.abc import Sequence
from typing import Any, Literal

from gateway.protocol.frames import WireError

Scope = Literal[
    "operator.read",
    "operator.write",
    "operator.admin",
    "operator.approvals",
    "operator.questions",
    "operator.pairing",
]

READ: Scope = "operator.read"
WRITE: Scope = "operator.write"
ADMIN: Scope = "operator.admin"
APPROVALS: Scope = "operator.approvals"
QUESTIONS: Scope = "operator.questions"
PAIRING: Scope = "operator.pairing"


def granted(protocol: int, role: str, requested: Sequence[str], *, vouched: bool = True) -> tuple[str, ...]:
    """The scopes that a client gets for those that it requested.

    In protocol 3 an operator that requests none gets all, in protocol 4 none. `vouched` False: nothing but the shared
    secret speaks for the client, so that an operator gets no scopes (CVE-2026-22172).
    """
    if role == "operator" and not vouched:
        return ()
    if protocol < 4 and role == "operator" and not requested:
        return (ADMIN,)
    return tuple(dict.fromkeys(requested))


def refuse(protocol: int, role: str, scopes: tuple[str, ...], needed: Scope | None) -> WireError | None:
    """The refusal for a client without the scope `needed`; None: the call is allowed.

    `needed` None: any operator may call it, even one without scopes.
    """
    if role != "operator":
        return WireError("INVALID_REQUEST", f"unauthorized role: {role}")
    if needed is None or ADMIN in scopes or needed in scopes or (needed == READ and WRITE in scopes):
        return None
    if protocol < 4:
        return WireError("INVALID_REQUEST", f"missing scope: {needed}")
    details: dict[str, Any] = {"code": "MISSING_SCOPE", "missingScope": needed, "requiredScopes": [needed]}
    return WireError("FORBIDDEN", f"missing scope: {needed}", details)

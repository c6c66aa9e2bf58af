"""Paired devices and their tokens: pairing, approval by an operator, rotation and revocation.

A device that proved its key and brought the secret is paired at once if it is on this machine. On another machine it
waits until an operator approves it. A paired device gets a token for each role, which later stands in for the secret.
"""

import hmac
import logging
import secrets
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from gateway.access.recordfile import RecordFile
from gateway.machine.clock import now_ms
from gateway.protocol.admission.lockout import site
from gateway.protocol.admission.pairing import (
    Device,
    Pending,
    Token,
    auto_approved,
    covers,
    is_revoked,
    merged,
    missing_approval,
    record_from,
    roles_of,
    union,
    with_token,
    without_role,
)
from gateway.protocol.admission.pairing import Granted as Granted
from gateway.protocol.admission.pairing import PairingRequest as PairingRequest
from gateway.protocol.frames import RpcError, WireError

log = logging.getLogger("gateway.access.devices")

PENDING_MS = 5 * 60_000
"""The time after which a pending request expires."""
MAX_PENDING = 64
MAX_PENDING_SITE = 8
"""Pending requests of one address, or of one IPv6 network, so that it cannot keep others from asking."""
SAVE_USE_MS = 10 * 60_000
"""The least time between two writes of when tokens were used: no client is served during a write."""

R = TypeVar("R", bound=Struct)


class Devices:
    """The devices of one state folder. A change is on disk before it takes effect.

    `on_revoked` is called with the id of a device whose connections must be closed.
    """

    def __init__(
        self,
        state: Path,
        announce: Callable[[str, dict[str, Any]], None] = lambda event, payload: None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`clock_ms`: milliseconds since 1970."""
        self.announce = announce
        self.on_revoked: Callable[[str], None] = lambda device_id: None
        self._clock_ms = clock_ms
        self._paired = RecordFile(state / "devices" / "paired.json", Device)
        self._pending = RecordFile(state / "devices" / "pending.json", Pending)
        self._use_saved_ms = 0

    # -- connecting ------------------------------------------------------------------------------------------------

    def token_admits(self, device_id: str, role: str, scopes: Iterable[str], token: str) -> bool:
        """Whether the token may stand in for the secret. The caller has checked the device's proof."""
        device = self._paired.records.get(device_id)
        held = device.tokens.get(role) if device else None
        same = hmac.compare_digest(_bytes(held.token if held else ""), _bytes(token))
        return bool(token and held and same and held.revoked_at_ms is None and covers(held.scopes, scopes))

    def still_admits(self, device_id: str, role: str) -> bool:
        """Whether connections of this device may stay open: it is paired, and its token was not revoked."""
        device = self._paired.records.get(device_id)
        held = device.tokens.get(role) if device else None
        return held is not None and held.revoked_at_ms is None

    def token_scopes(self, token: str) -> tuple[str, ...] | None:
        """The scopes of an operator token of any device, because HTTP clients name none; None if it is no token."""
        held = [device.tokens.get("operator") for device in self._paired.records.values()]
        same = [each for each in held if each and hmac.compare_digest(_bytes(each.token), _bytes(token))]
        return next((each.scopes for each in same if token and each.revoked_at_ms is None), None)

    def pair(self, pairing: PairingRequest) -> Granted | WireError:
        """Pair a device if it needs no operator. Returns its token, or the error that it gets."""
        try:
            device = self._paired.records.get(pairing.device_id)
            reason = missing_approval(device, pairing.public_key, pairing.role, pairing.scopes)
            if reason is not None and (offered := self._by_offer(device, pairing, reason)):
                return offered
            if device is None or reason:
                if not auto_approved(device, pairing):
                    return self._ask_operator(pairing, reason or "not-paired", device is not None)
                device = merged(device, self._request(pairing, device is not None), self._clock_ms())
                granted = self._grant(device, pairing)
                what = pairing.device_id, pairing.role[:40], ",".join(pairing.scopes)[:200]
                log.info("device pairing auto-approved device=%s role=%s scopes=%r", *what)
                return granted
            return self._grant(device, pairing)
        except RpcError as error:
            return error.wire

    def _by_offer(self, device: Device | None, pairing: PairingRequest, reason: str) -> Granted | None:
        """Approve a new device, or more scopes of a known one, by the offer of a trusted proxy; None: it has none."""
        if pairing.offer is None or pairing.role != "operator":
            return None
        if reason not in (("not-paired",) if device is None else ("scope-upgrade",)):
            return None
        if device is not None and covers(device.scopes, pairing.offer):
            wanted = union(pairing.scopes, pairing.offer)
            narrowed = tuple(scope for scope in wanted if covers(device.scopes, [scope]))
            return replace(self._grant(device, replace(pairing, scopes=narrowed)), session=narrowed)
        pairing = replace(pairing, scopes=pairing.offer)
        granted = self._grant(merged(device, self._request(pairing, device is not None), self._clock_ms()), pairing)
        what = pairing.device_id, ",".join(pairing.scopes)[:200]
        log.warning("security audit: trusted-proxy operator device auto-approved device=%s scopes=%r", *what)
        return replace(granted, session=pairing.scopes)

    def _grant(self, device: Device, pairing: PairingRequest) -> Granted:
        now = self._clock_ms()
        held = device.tokens.get(pairing.role)
        if held and held.revoked_at_ms is None and covers(held.scopes, pairing.scopes):
            token = replace(held, last_used_at_ms=now)
        else:
            kept = held.scopes if held and held.revoked_at_ms is None else ()
            token = _make_token(pairing.role, union(kept, pairing.scopes), now, last_used_at_ms=now)
        records = {**self._paired.records, device.device_id: with_token(device, token)}
        known = self._paired.records.get(device.device_id)
        if known is device and held and token.token == held.token:
            self._note_use(records, now)
        else:
            self._save(self._paired, records)
        return Granted(token.token, token.scopes, token.rotated_at_ms or token.created_at_ms)

    def _note_use(self, records: dict[str, Device], now: int) -> None:
        """Note that tokens were used. A failure is only logged: it must not keep out a paired device."""
        self._paired.records = records
        if now - self._use_saved_ms < SAVE_USE_MS:
            return
        self._use_saved_ms = now
        try:
            self._paired.save(records)
        except OSError as error:
            log.warning("cannot note in %s when devices connected: %s", self._paired.path, error.strerror or error)

    def _ask_operator(self, pairing: PairingRequest, reason: str, is_repair: bool) -> WireError:
        waiting = self._waiting()
        request = self._request(pairing, is_repair)
        before = next((each for each in waiting.values() if each.device_id == pairing.device_id), None)
        if before and replace(request, request_id=before.request_id, ts=before.ts) == before:
            # In memory only: a device that tries every second must not cause a write every second.
            request = replace(before, ts=request.ts)
            self._pending.records = {**waiting, request.request_id: request}
        else:
            # A request for something else gets another id, so that operators approve only what they have seen.
            rest = {id: each for id, each in waiting.items() if each is not before}
            here = site(pairing.remote_ip or "")
            from_here = [each for each in rest.values() if site(each.remote_ip or "") == here]
            if len(rest) >= MAX_PENDING or len(from_here) >= MAX_PENDING_SITE:
                where = "from your address " if len(rest) < MAX_PENDING else ""
                raise RpcError(WireError("UNAVAILABLE", f"too many devices {where}wait for approval", retryable=True))
            self._save(self._pending, {**rest, request.request_id: request})
            log.info("device pairing requested device=%s request=%s", request.device_id, request.request_id)
            self.announce("device.pair.requested", to_builtins(request))
        details = {"requestId": request.request_id}
        if pairing.protocol >= 4:
            details |= {"code": "PAIRING_REQUIRED", "reason": reason}
        return WireError("NOT_PAIRED", "pairing required", details)

    def _request(self, pairing: PairingRequest, is_repair: bool) -> Pending:
        more = {"request_id": str(uuid.uuid4()), "ts": self._clock_ms(), "silent": pairing.local}
        return record_from(Pending, pairing, is_repair=is_repair, **more)

    # -- for operators: all raise RpcError, also if a file cannot be written --------------------------------------

    def listing(self) -> tuple[list[Pending], list[Device]]:
        """Pending requests and paired devices, the newest first. The devices hold their tokens: do not show those."""
        paired = sorted(self._paired.records.values(), key=lambda each: -each.approved_at_ms)
        return sorted(self._waiting().values(), key=lambda each: -each.ts), paired

    def pending(self, request_id: str) -> Pending:
        found = self._waiting().get(request_id)
        if found is None:
            raise RpcError("unknown requestId")
        return found

    def find(self, device_id: str) -> Device | None:
        return self._paired.records.get(device_id)

    def device(self, device_id: str) -> Device:
        found = self.find(device_id)
        if found is None:
            raise RpcError("unknown deviceId")
        return found

    def approval(self, request_id: str) -> Device:
        """The device as it would be after the approval of the request."""
        request = self.pending(request_id)
        return merged(self._paired.records.get(request.device_id), request, self._clock_ms())

    def approve(self, request_id: str) -> Device:
        request, device = self.pending(request_id), self.approval(request_id)
        self._save(self._paired, {**self._paired.records, device.device_id: device})
        self._resolve(request, "approved")
        return device

    def reject(self, request_id: str) -> Pending:
        request = self.pending(request_id)
        self._resolve(request, "rejected")
        return request

    def remove(self, device_id: str) -> None:
        self.device(device_id)
        self._save(self._paired, {id: each for id, each in self._paired.records.items() if id != device_id})
        log.info("device removed device=%s", device_id)
        self.on_revoked(device_id)

    def rotation(self, device_id: str, role: str, scopes: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """The scopes that a new token would have. `scopes` None: those of the old token, or all of the device."""
        device, held = self._held(device_id, role)
        if is_revoked(device, role):
            raise RpcError(f"the role {role} of this device was revoked; it must ask for it and be approved anew")
        wanted = scopes if scopes is not None else held.scopes if held else device.scopes
        if not covers(device.scopes, wanted):
            raise RpcError("scopes exceed what the device is approved for")
        return union(wanted)

    def rotate(self, device_id: str, role: str, scopes: tuple[str, ...] | None = None) -> Token:
        """Replace the token; the old one is not valid any more."""
        wanted = self.rotation(device_id, role, scopes)
        device, held = self._held(device_id, role)
        now = self._clock_ms()
        token = _make_token(role, wanted, held.created_at_ms if held else now, rotated_at_ms=now)
        self._save(self._paired, {**self._paired.records, device_id: with_token(device, token)})
        log.info("device token rotated device=%s role=%s", device_id, role)
        self.on_revoked(device_id)
        return token

    def revoke(self, device_id: str, role: str) -> int:
        """Revoke the role with its token and its scopes. Returns the time, in milliseconds since 1970.

        The secret alone does not bring the role back: it must be approved again, which happens without an operator for
        an operator device on this machine, as in OpenClaw 2026.9.6.
        """
        device, held = self._held(device_id, role)
        now = self._clock_ms()
        held = held or _make_token(
            role, (), now
        )  # an approved device that has not connected yet has no token that could be marked
        device = with_token(without_role(device, role), replace(held, revoked_at_ms=now))
        self._save(self._paired, {**self._paired.records, device_id: device})
        log.info("device token revoked device=%s role=%s", device_id, role)
        self.on_revoked(device_id)
        return now

    def _held(self, device_id: str, role: str) -> tuple[Device, Token | None]:
        device = self._paired.records.get(device_id)
        if device is None or role not in roles_of(device):
            raise RpcError("unknown deviceId/role")
        return device, device.tokens.get(role)

    def _resolve(self, request: Pending, decision: str) -> None:
        rest = {id: each for id, each in self._waiting().items() if id != request.request_id}
        self._save(self._pending, rest)
        log.info("device pairing %s device=%s", decision, request.device_id)
        facts = {"requestId": request.request_id, "deviceId": request.device_id}
        self.announce("device.pair.resolved", {**facts, "decision": decision, "ts": self._clock_ms()})

    def _waiting(self) -> dict[str, Pending]:
        oldest = self._clock_ms() - PENDING_MS
        return {id: each for id, each in self._pending.records.items() if each.ts > oldest}

    def _save(self, file: RecordFile[R], records: dict[str, R]) -> None:
        try:
            file.save(records)
        except OSError as error:
            why = f"cannot write {file.path}: {error.strerror or error}"
            log.error("%s", why)
            raise RpcError(WireError("UNAVAILABLE", why, retryable=True)) from None


def _make_token(role: str, scopes: tuple[str, ...], created_at_ms: int, **times: int) -> Token:
    """A token as long as those of OpenClaw."""
    return Token(token=secrets.token_hex(16), role=role, scopes=scopes, created_at_ms=created_at_ms, **times)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

"""Channels and who may write over them: no channel exists here yet, so the lists are empty."""

import time
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.params import Params
from gateway.protocol.scopes import PAIRING, READ
from gateway.rpc.registry import Call, method


class ChannelsParams(Params, frozen=True):
    probe: bool = False
    timeout_ms: Annotated[float, Meta(ge=0)] | None = None
    channel: str | None = None


class Channels(Struct, rename="camel"):
    ts: int
    channel_order: list[str]
    channel_labels: dict[str, str]
    channel_detail_labels: dict[str, str]
    channel_system_images: dict[str, str]
    channel_meta: list[dict[str, Any]]
    channels: dict[str, Any]
    channel_accounts: dict[str, list[dict[str, Any]]]
    channel_default_account_id: dict[str, str]
    status_issues: list[dict[str, Any]] | UnsetType = UNSET


class PairingParams(Params, frozen=True):
    channel: str | None = None
    account_id: str | None = None


class Pairing(Struct, rename="camel"):
    accounts: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    command_owner_configured: bool
    limits: dict[str, int]


@method("channels.status", ChannelsParams, Channels, scope=READ)
def channels_status(call: Call, params: ChannelsParams) -> Channels:
    """The channels and their accounts: none. `probe` is accepted, there is nothing to probe."""
    answer = Channels(int(time.time() * 1000), [], {}, {}, {}, [], {}, {}, {})
    if call.peer.protocol >= 4:
        answer.status_issues = []
    return answer


@method("channels.pairing.list", PairingParams, Pairing, scope=PAIRING, since=4)
def channels_pairing_list(call: Call, params: PairingParams) -> Pairing:
    """People who ask to write over a channel: none, and there is room for none."""
    return Pairing([], [], False, {"pendingPerAccount": 0, "ttlMs": 0})

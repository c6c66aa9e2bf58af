"""`channels.status`: no channel exists here yet, so its lists are empty."""

import time
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
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


@method("channels.status", ChannelsParams, Channels, scope=READ)
def channels_status(call: Call, params: ChannelsParams) -> Channels:
    """The channels and their accounts: none. `probe` is accepted, there is nothing to probe."""
    answer = Channels(int(time.time() * 1000), [], {}, {}, {}, [], {}, {}, {})
    if call.peer.protocol >= 4:
        answer.status_issues = []
    return answer

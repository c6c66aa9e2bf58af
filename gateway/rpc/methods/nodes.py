"""Nodes: none can connect here yet."""

import time
from typing import Any

from msgspec import Struct

from gateway.protocol.params import NoParams
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, method


class Nodes(Struct):
    ts: int
    nodes: list[dict[str, Any]]


class NodePairs(Struct):
    pending: list[dict[str, Any]]
    paired: list[dict[str, Any]]


@method("node.list", NoParams, Nodes, scope=READ)
def node_list(call: Call, params: NoParams) -> Nodes:
    """The nodes, paired or connected: none."""
    return Nodes(int(time.time() * 1000), [])


@method("node.pair.list", NoParams, NodePairs, scope="operator.pairing")
def node_pair_list(call: Call, params: NoParams) -> NodePairs:
    """Nodes that wait to be paired, and those that are: none."""
    return NodePairs([], [])

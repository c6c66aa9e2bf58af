from pathlib import Path

import pytest

from gateway.access.policy import policy
from gateway.config.schema import Auth, DeviceAutoApprove, Gateway, TrustedProxy
from gateway.protocol.admission.proxy import APPROVABLE


def test_a_token_is_made_up_only_for_this_machine(tmp_path: Path) -> None:
    assert policy(Gateway(), 1, tmp_path, reachable=True).secret is None
    made = policy(Gateway(), 1, tmp_path, reachable=False)
    assert made.secret and policy(Gateway(), 2, tmp_path, reachable=False).secret == made.secret
    assert policy(Gateway(auth=Auth(token="t")), 1, tmp_path, reachable=False).secret == "t"


@pytest.mark.parametrize(
    ("asked", "scopes"),
    [
        (DeviceAutoApprove(), None),
        (DeviceAutoApprove(enabled=True), APPROVABLE),
        (DeviceAutoApprove(enabled=True, scopes=("operator.read",)), ("operator.read",)),
    ],
)
def test_what_a_proxys_devices_get_at_once(
    tmp_path: Path, asked: DeviceAutoApprove, scopes: tuple[str, ...] | None
) -> None:
    auth = Auth(mode="trusted-proxy", trusted_proxy=TrustedProxy(user_header="x-user", device_auto_approve=asked))
    assert policy(Gateway(auth=auth), 1, tmp_path, reachable=False).proxy.auto_approve == scopes

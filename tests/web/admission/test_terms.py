from msgspec.structs import replace

from gateway.config.schema import Gateway
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.admission.proxy import ATTRIBUTION, ProxyUser, Rules
from gateway.web.admission.terms import origin_and_user
from tests.fakes.core import FakeCore

PROXIES = ("203.0.113.50", "127.0.0.1")
HEADERS = [(b"host", b"h"), (b"x-forwarded-for", b"203.0.113.9"), (b"x-user", b"ann")]


def make_core(mode: str = "trusted-proxy") -> FakeCore:
    core = FakeCore(auth=AuthPolicy(mode, token="t", proxy=Rules(user_header="x-user", proxies=PROXIES)))  # type: ignore[arg-type]
    core.config = replace(core.config, gateway=Gateway(trusted_proxies=PROXIES))
    return core


def test_a_proxy_names_its_user() -> None:
    who, identity = origin_and_user(make_core(), {"client": ("203.0.113.50", 1), "headers": HEADERS})
    assert (who.remote_ip, identity) == ("203.0.113.9", ProxyUser("ann"))


def test_a_process_of_this_machine_is_no_proxy() -> None:
    _, identity = origin_and_user(make_core(), {"client": ("127.0.0.1", 1), "headers": HEADERS})
    assert identity == "trusted_proxy_loopback_source"


def test_in_another_mode_nobody_is_named() -> None:
    _, identity = origin_and_user(make_core("token"), {"client": ("203.0.113.50", 1), "headers": HEADERS})
    assert identity == ATTRIBUTION


def test_without_an_address() -> None:
    who, identity = origin_and_user(make_core(), {"headers": [(b"x-user", b"ann")]})
    assert (who.address, identity) == ("", "trusted_proxy_untrusted_source")

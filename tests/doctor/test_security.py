"""The list of SECURITY.md: what finds each row, and the four set-ups of its table."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.config import files
from gateway.config.schema import Auth, Config, ControlUi, DeviceAutoApprove, Gateway, TrustedProxy
from gateway.doctor.security import SECURITY, SHORT_SECRET, audit
from gateway.machine.holders import Holder
from gateway.report import Issue
from gateway.sessions.checkup import Checkup
from gateway.units.addresses import resolve
from tests.doctor.test_checks import HEALTHY, config, report, service

PAGE = (Path(__file__).parents[2] / "SECURITY.md").read_text()
LAN = resolve("lan", 18789)
VPN = resolve("100.101.102.103", 18789)
SECRET = "x" * SHORT_SECRET


def of(auth: Auth | None = None, proxies: tuple[str, ...] = (), **page: Any) -> files.Snapshot:
    gateway = Gateway(auth=auth or Auth(token=SECRET), trusted_proxies=proxies, control_ui=ControlUi(**page))
    return config(config=Config(gateway=gateway))


def proxied(**trusted: Any) -> files.Snapshot:
    trusted = {"allow_users": ("you",), "user_header": "x-user", **trusted}
    auth = Auth(mode="trusted-proxy", password=SECRET, trusted_proxy=TrustedProxy(**trusted))
    return of(auth, ("10.0.0.1",))


SAFE = replace(HEALTHY, config=of())
REFUSED = Issue("Refusing to bind to lan without auth", "gateway.auth.token", "/h/openclaw.json")
FOUND: list[tuple[str, dict[str, Any], str]] = [
    ("no-auth", {"config": of(Auth(mode="none"))}, "warning"),
    ("no-auth", {"config": config(config=None, issues=(REFUSED,))}, "problem"),
    ("unknown-config", {"config": config(config=None, issues=(Issue("bad"),))}, "problem"),
    ("weak-secret", {"config": of(Auth(token=SECRET[1:]))}, "warning"),
    ("weak-secret", {"config": of(Auth(password=SECRET[1:])), "listen": VPN}, "problem"),
    ("any-origin", {"config": of(allowed_origins=("https://a.example", "*"))}, "warning"),
    ("any-origin", {"config": of(Auth(mode="none"), allowed_origins=("*",))}, "problem"),
    ("no-device", {"config": of(dangerously_disable_device_auth=True)}, "problem"),
    ("page-without-device", {"config": of(allow_insecure_auth=True)}, "problem"),
    ("in-clear", {"listen": LAN}, "warning"),
    ("in-clear", {"report": report(listeners=("10.0.0.1:18789",))}, "warning"),
    ("internet", {"listen": resolve("8.8.8.8", 5)}, "problem"),
    ("internet", {"listen": LAN, "public": ("2001:4860::1",)}, "problem"),
    ("wide-proxies", {"config": of(proxies=("0.0.0.0/0",))}, "problem"),
    ("wide-proxies", {"config": of(proxies=("10.0.0.0/15",))}, "problem"),
    ("wide-proxies", {"config": of(proxies=("fd00::/47",))}, "problem"),
    ("proxy-loopback", {"config": proxied(allow_loopback=True)}, "warning"),
    ("proxy-users", {"config": proxied(allow_users=())}, "warning"),
    (
        "proxy-admin",
        {"config": proxied(device_auto_approve=DeviceAutoApprove(enabled=True, scopes=("operator.admin",)))},
        "warning",
    ),
    ("foreign-listener", {"holders": (Holder(None, 1, "daemon", "", None),)}, "problem"),
    ("readable-secret", {"config": structs.replace(of(), exposed=(Path("/h/a b.json"),))}, "warning"),
    ("secret-in-unit", {"exposed_drop_ins": (Path("/u/x.conf"),)}, "warning"),
    ("readable-conversations", {"database": Checkup("/h/c.sqlite", mode=0o644)}, "warning"),
    ("writable-files", {"writable": (Path("/h"),)}, "problem"),
    ("plaintext", {"plaintext": True}, "warning"),
    ("root", {"uid": 0}, "warning"),
    ("sandbox", {"sandbox_refusal": "no manager"}, "note"),
    ("sandbox", {"units": service(exit_status=226, main_pid=0, sub="auto-restart")}, "problem"),
]


def test_page_and_checks_are_in_step() -> None:
    section = PAGE.split("\n## What to look at\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE) == list(SECURITY)
    assert {id for id, _, _ in FOUND} == SECURITY.keys()
    assert f"under {SHORT_SECRET} characters" in section


@pytest.mark.parametrize(("id", "differs", "severity"), FOUND)
def test_a_risk_is_found_by_its_row(id: str, differs: dict[str, Any], severity: str) -> None:
    found = {risk.id: risk for risk in audit(replace(SAFE, **differs))}
    assert found[id].severity == severity
    assert found[id].remedy


@pytest.mark.parametrize(
    "differs",
    [
        {},
        {"config": of(proxies=("10.0.0.0/16", "fd00::/48", "192.0.2.7"))},
        {"config": proxied()},
        {"listen": VPN},
        # An address of the internet, and nothing listens on it.
        {"public": ("2001:4860::1", "8.8.8.8")},
        {"config": of(allowed_origins=("https://ui.example",))},
    ],
)
def test_what_is_as_it_should_be_is_not_on_the_list(differs: dict[str, Any]) -> None:
    assert audit(replace(SAFE, **differs)) == []


def test_the_worst_comes_first_and_then_the_pages_order() -> None:
    found = audit(replace(SAFE, uid=0, writable=(Path("/h"),), listen=LAN, public=("8.8.8.8",)))
    assert [(risk.severity, risk.id) for risk in found] == [
        ("problem", "internet"),
        ("problem", "writable-files"),
        ("warning", "in-clear"),
        ("warning", "root"),
    ]

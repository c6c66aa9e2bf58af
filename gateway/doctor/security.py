"""`doctor --security`: checks of the list in SECURITY.md. A test holds that the page has the same names.

The list has choices of the user and states of the machine. What the gateway refuses by itself is not on it.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from shlex import quote

from gateway.config.schema import Config
from gateway.config.validate import REFUSING
from gateway.doctor import config, database, port, units
from gateway.doctor.checks import Check, by_severity
from gateway.doctor.evidence import Evidence
from gateway.doctor.finding import Finding, Severity
from gateway.lifecycle.peer import PLAINTEXT
from gateway.units.addresses import ListenAddress, parse

SHORT_SECRET = 16
"""Characters below which a secret can be guessed from other machines."""
WIDE = {4: 16, 6: 48}
"""Prefix lengths (IPv4, IPv6) below which a network of trusted proxies is too wide."""
VPN = tuple(map(ipaddress.ip_network, ("100.64.0.0/10", "fd7a:115c:a1e0::/48")))
"""Networks of Tailscale, which encrypts."""
_SET = "openclaw-gateway config set gateway"


class Risk(Finding, frozen=True):
    id: str = ""
    """Its row in SECURITY.md."""


def audit(evidence: Evidence) -> list[Risk]:
    """All findings by severity, then in the order of the page."""
    return by_severity(
        Risk(found.severity, found.title, found.detail, found.remedy, id)
        for id, check in SECURITY.items()
        for found in check(evidence)
    )


def no_auth(evidence: Evidence) -> Iterator[Finding]:
    remedy = f"{_SET}.auth.mode token"
    refused = next((issue for issue in evidence.config.issues if issue.message.startswith(REFUSING)), None)
    if refused:
        yield Finding("problem", "others could connect, and nobody would be asked for a secret", str(refused), remedy)
    found = _config(evidence)
    if found and found.gateway.auth.effective_mode == "none":
        detail = "every process on this machine, of any user, and every page of localhost is an administrator"
        yield Finding("warning", "nobody is asked for a secret", detail, remedy)


def unknown(evidence: Evidence) -> Iterator[Finding]:
    if _config(evidence) is None:
        detail = "it has errors, so what it means for the gateway was not looked at"
        yield Finding("problem", "the config cannot be judged", detail, "openclaw-gateway config check")


def weak_secret(evidence: Evidence) -> Iterator[Finding]:
    found = _config(evidence)
    auth = found.gateway.auth if found else None
    for name, secret in (("token", auth.token), ("password", auth.password)) if auth else ():
        if secret is not None and len(secret) < SHORT_SECRET:
            detail = f"gateway.auth.{name} has {len(secret)} characters; {SHORT_SECRET} drawn by chance are enough"
            remedy = f'{_SET}.auth.{name} "$(openssl rand -hex 24)"'
            yield Finding("problem" if _open(evidence) else "warning", "the secret is short", detail, remedy)


def any_origin(evidence: Evidence) -> Iterator[Finding]:
    found = _config(evidence)
    if found and "*" in found.gateway.control_ui.allowed_origins:
        severity: Severity = "problem" if found.gateway.auth.effective_mode == "none" else "warning"
        detail = 'gateway.controlUi.allowedOrigins has "*": any page that a browser here or elsewhere opens may try'
        yield Finding(
            severity, "every page on the web may connect", detail, f"{_SET}.controlUi.allowedOrigins '[\"…\"]'"
        )


def no_device(evidence: Evidence) -> Iterator[Finding]:
    found = _config(evidence)
    if found and found.gateway.control_ui.dangerously_disable_device_auth:
        detail = "gateway.controlUi.dangerouslyDisableDeviceAuth: it is an administrator from anywhere, never paired"
        remedy = f"{_SET}.controlUi.dangerouslyDisableDeviceAuth false"
        yield Finding("problem", "whoever says to be the Control UI needs the secret alone", detail, remedy)


def page_without_device(evidence: Evidence) -> Iterator[Finding]:
    found = _config(evidence)
    if found and found.gateway.control_ui.allow_insecure_auth:
        detail = "gateway.controlUi.allowInsecureAuth: it is an administrator from anywhere, with nothing to revoke"
        remedy = f"{_SET}.controlUi.allowInsecureAuth false"
        yield Finding("problem", "a Control UI without a device needs the secret alone", detail, remedy)


def in_clear(evidence: Evidence) -> Iterator[Finding]:
    reachable = [address for address in _open(evidence) if not _in_vpn(address)]
    if reachable:
        listed = ", ".join(map(str, reachable))
        detail = f"the secret and all that is said pass {listed} unencrypted; put TLS or a tunnel before a gateway here"
        remedy = "openclaw-gateway install --bind loopback"
        yield Finding("warning", "it listens in clear for other machines", detail, remedy)


def internet(evidence: Evidence) -> Iterator[Finding]:
    everywhere = {ipaddress.ip_address(each.host).version for each in _open(evidence) if _is_everywhere(each)}
    named = [each.host for each in _open(evidence) if ipaddress.ip_address(each.host).is_global]
    public = [each for each in evidence.public if ipaddress.ip_address(each).version in everywhere]
    if named or public:
        detail = f"it listens on {', '.join(dict.fromkeys([*named, *public]))}, and only a firewall could be before it"
        remedy = "openclaw-gateway install --bind loopback"
        yield Finding("problem", "the internet may reach it", detail, remedy)


def wide_proxies(evidence: Evidence) -> Iterator[Finding]:
    found = _config(evidence)
    networks = [ipaddress.ip_network(each, strict=False) for each in found.gateway.trusted_proxies] if found else []
    wide = [str(network) for network in networks if network.prefixlen < WIDE[network.version]]
    if found and wide:
        users = found.gateway.auth.effective_mode == "trusted-proxy"
        what = "any user" if users else "any address, and so avoid the lock-out"
        detail = f"gateway.trustedProxies has {', '.join(wide)}: who connects from there can name {what}"
        yield Finding("problem", "strangers are trusted as proxies", detail, f"{_SET}.trustedProxies '[\"…\"]'")


def root(evidence: Evidence) -> Iterator[Finding]:
    if evidence.uid == 0:
        detail = "the tools of a model may do what root may"
        yield Finding("warning", "the gateway is root's", detail, "openclaw-gateway install   # as another user")


def writable_files(evidence: Evidence) -> Iterator[Finding]:
    """Other users may write files of the gateway: the config can make it run any command."""
    for path in evidence.writable:
        detail = f"{path}: who writes there decides what the gateway and its tools run"
        yield Finding("problem", "others can write what the gateway trusts", detail, f"chmod go-w {quote(str(path))}")


def secret_in_unit(evidence: Evidence) -> Iterator[Finding]:
    for path in evidence.exposed_drop_ins:
        yield Finding("warning", "others can read a secret", f"{path} holds one", f"chmod 600 {quote(str(path))}")


def plaintext(evidence: Evidence) -> Iterator[Finding]:
    if evidence.plaintext:
        detail = f"{PLAINTEXT}=1 in this shell, for every command"
        yield Finding("warning", "commands may send the secret in clear", detail, f"unset {PLAINTEXT}")


SECURITY: Mapping[str, Check] = {
    "no-auth": no_auth,
    "unknown-config": unknown,
    "weak-secret": weak_secret,
    "any-origin": any_origin,
    "no-device": no_device,
    "page-without-device": page_without_device,
    "in-clear": in_clear,
    "internet": internet,
    "wide-proxies": wide_proxies,
    "proxy-loopback": config.proxy_loopback,
    "proxy-users": config.proxy_users,
    "proxy-admin": config.proxy_admin,
    "foreign-listener": port.foreign_listener,
    "readable-secret": config.exposed,
    "secret-in-unit": secret_in_unit,
    "readable-conversations": database.exposed,
    "writable-files": writable_files,
    "plaintext": plaintext,
    "root": root,
    "sandbox": units.namespaces,
}


def _config(evidence: Evidence) -> Config | None:
    return evidence.config.config


def _open(evidence: Evidence) -> list[ListenAddress]:
    """Addresses that other machines can reach, of the socket unit and of the running gateway."""
    running = evidence.report.listeners if evidence.report else ()
    found = dict.fromkeys([*evidence.listen, *(address for text in running if (address := parse(text)))])
    return [address for address in found if not address.is_loopback]


def _is_everywhere(address: ListenAddress) -> bool:
    return ipaddress.ip_address(address.host).is_unspecified


def _in_vpn(address: ListenAddress) -> bool:
    return any(ipaddress.ip_address(address.host) in network for network in VPN)

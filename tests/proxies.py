"""HAProxy and Caddy as Debian packages them: from this machine, or unpacked into `.cache` without being installed."""

import fcntl
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[1] / ".cache" / "proxies"
FORWARDED_FOR = "203.0.113.9"
"""From where both say that their client comes: here it would be this machine."""


def _haproxy(port: int, backend: int) -> str:
    return f"""
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend door
    bind 127.0.0.1:{port}
    http-request del-header X-Forwarded-User
    http-request set-header X-Forwarded-For {FORWARDED_FOR}
    http-request set-header X-Forwarded-User %[req.hdr(x-login)] if {{ req.hdr(x-login) -m found }}
    default_backend gateway
backend gateway
    server gateway 127.0.0.1:{backend}
"""


def _caddy(port: int, backend: int) -> str:
    return f"""
{{
    admin off
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    @login header X-Login *
    route {{
        request_header -X-Forwarded-User
        request_header @login X-Forwarded-User {{header.X-Login}}
        reverse_proxy 127.0.0.1:{backend} {{
            header_up X-Forwarded-For {FORWARDED_FOR}
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Proxy:
    name: str
    arguments: tuple[str, ...]
    config: Callable[[int, int], str]


PROXIES = {
    "haproxy": Proxy("haproxy", ("-db", "-f"), _haproxy),
    "caddy": Proxy("caddy", ("run", "--adapter", "caddyfile", "--config"), _caddy),
}


@contextmanager
def proxying(name: str, backend: int, folder: Path) -> Iterator[int]:
    """Run it in front of a port of this machine; yield its own."""
    proxy, (program, env) = PROXIES[name], _found(name)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    config = folder / f"{name}.conf"
    config.write_text(proxy.config(port, backend))
    env = env | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    log = folder / f"{name}.log"
    with log.open("wb") as said:
        child = subprocess.Popen([program, *proxy.arguments, str(config)], env=env, stdout=said, stderr=said)
    try:
        while not _listens(port):
            assert child.poll() is None, log.read_text()
            time.sleep(0.005)
        yield port
    finally:
        child.kill()
        child.wait()


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


@cache
def _found(name: str) -> tuple[str, dict[str, str]]:
    """The program and the environment that it needs; skips the test where there is none."""
    installed = shutil.which(name)
    if installed:
        return installed, {}
    root = CACHE / "root"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two workers one downloads
        if not (CACHE / "done").exists():
            _unpack(root)
    found = next((path for path in (root / "usr/sbin" / name, root / "usr/bin" / name) if path.exists()), None)
    if found is None:
        pytest.skip(f"{name} is not here, and Debian's package of it cannot be had")
    libraries = [str(path) for path in (root / "usr/lib").glob("*-linux-*")]
    return str(found), {"LD_LIBRARY_PATH": ":".join(libraries)}


def _unpack(root: Path) -> None:
    """What apt would install, unpacked instead: as packages both would start as services of the machine."""
    ask = ["apt-get", "install", "--simulate", "--no-install-recommends", *PROXIES]
    try:
        plan = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        packages = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
        subprocess.run(["apt-get", "--quiet", "download", *packages], cwd=CACHE, capture_output=True, check=True)
        for package in CACHE.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
            package.unlink()
    except (OSError, subprocess.CalledProcessError):
        return
    (CACHE / "done").touch()

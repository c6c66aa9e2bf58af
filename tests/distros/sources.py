"""Where this machine gets its packages from, as its own apt and pip say. Nothing here names a host."""

import ast
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
APT = re.compile(r'Acquire::(https?::(?!Dl-Limit)|Check-|Retries|ForceIPv|Languages).* "[^"]+";')
PLACES = ("index-url", "extra-index-url", "find-links")
PIP = (*PLACES, "no-index", "trusted-host", "proxy", "cert", "client-cert", "timeout", "default-timeout", "retries")
ANSWER_SECONDS = 20.0


def mirror() -> str | None:
    """Debian's archive by the address that apt has for it here, or debootstrap's own; None where there is neither."""
    form = "$(ORIGIN) $(LABEL) $(REPO_URI)"
    for line in _said("apt-get", "indextargets", "--format", form, "Created-By: Packages").splitlines():
        origin, label, address = line.split(" ", 2)
        if (origin, label) == ("Debian", "Debian"):
            return address
    script = shutil.which("debootstrap")
    found = re.search(r'^DEF_MIRROR="(http[^"$]+)"', Path(script).read_text(), re.MULTILINE) if script else None
    return found[1] if found else None


def silence(address: str, suite: str) -> str | None:
    """Why the archive does not have that release, or None when it has."""
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/dists/{suite}/InRelease", timeout=ANSWER_SECONDS):
            return None
    except (OSError, ValueError) as error:
        return str(error)


def apt_options() -> str:
    """The lines for an apt.conf that make another apt ask as this machine's does."""
    lines = (line.strip() for line in _said("apt-config", "dump", "Acquire").splitlines())
    return "".join(f"{line}\n" for line in lines if APT.fullmatch(line))


def pip_options() -> dict[str, str]:
    """What this machine's pip was told of indexes, in its files and its environment; the environment wins."""
    options = {}
    for line in _said(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        scope, _, key = name.rpartition(".")
        if key in PIP and scope in ("global", "install", ":env:") and (scope == ":env:" or key not in options):
            options[key] = ast.literal_eval(value)
    return options


def pip_folders(options: Mapping[str, str]) -> list[Path]:
    """Folders of this machine that serve it as an index; what an index's pages link to lies beside it."""
    words = (word for key in PLACES[:2] for word in options.get(key, "").split())
    indexes = (Path(urlsplit(word).path).parent for word in words if word.startswith("file:"))
    finds = (Path(urlsplit(word).path) for word in options.get("find-links", "").split() if word[0] in "/f")
    return sorted({place for place in (*indexes, *finds) if place.is_dir() and len(place.parts) > 1})


def certificates() -> Iterator[Path]:
    """The bundles that programs are told to trust here."""
    places = (BUNDLE, *(os.environ.get(name) for name in CERTIFICATES))
    yield from {Path(place) for place in places if place and Path(place).is_file()}


def environment() -> dict[str, str]:
    """For programs that ask the network from inside."""
    return {name: os.environ[name] for name in (*CERTIFICATES, *PROXIES) if name in os.environ}


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout

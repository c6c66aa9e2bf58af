#!/bin/bash
# packages.sh run|test|conformance|distros: installs the Debian packages that are missing, and says which and why. Probes for what
# is used and not for package names, so that a Python or a compiler from elsewhere counts. Touches the network only if something is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python.sh

missing=()
need() { # need PACKAGE WHY PROBE...
    local package=$1 why=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    missing+=("$package")
    printf '  %-16s %s\n' "$package" "$why"
}
has_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome || command -v google-chrome-stable; }
python_can() { local python; python=$(find_python) && "$python" -c "$1"; }

probe() {
    missing=()
    need python3 'the gateway is written in Python, 3.11 or newer' find_python
    need python3-venv 'the gateway lives in a virtual environment of its own' python_can 'import ensurepip, venv'
    need python3-dev 'headers to compile systemd-python' \
        python_can 'import os, sysconfig as s; os.stat(s.get_path("include") + "/Python.h")'
    need gcc 'compiles systemd-python, which has no ready-made wheel' command -v gcc
    need libc6-dev 'headers to compile systemd-python' test -e /usr/include/stdio.h
    need pkg-config 'finds libsystemd for systemd-python' command -v pkg-config
    need libsystemd-dev 'what systemd-python is made of' pkg-config --exists libsystemd
    if [ "$1" = conformance ]; then
        need npm "installs OpenClaw's own command lines and pages" command -v npm
        need chromium "shows OpenClaw's pages" has_browser
        need tmux "the terminal in which OpenClaw's own interface is talked to" command -v tmux
    fi
    if [ "$1" = distros ]; then
        need debootstrap 'makes the other releases of Debian that the tests run on' command -v debootstrap
    fi
    [ "$1" = test ] || return 0
    need systemd 'the end-to-end tests boot a real user manager' test -x /lib/systemd/systemd
    need iproute2 'the network of the end-to-end tests' command -v ip
    need procps 'end-to-end tests look for processes' command -v pgrep
    need curl 'the client of the end-to-end tests' command -v curl
    need vim 'an editor whose way of saving is tested' command -v vim
    need nano 'an editor whose way of saving is tested' command -v nano
}

report=$(mktemp)
trap 'rm -f "$report"' EXIT
probe "$1" >"$report"
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "This machine lacks (names as in Debian; install what your distribution calls them, then try again):" >&2
    cat "$report" >&2
    exit 1
fi
echo "Installing from this machine's package sources:"
cat "$report"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Neither root nor sudo: please install ${missing[*]} yourself." >&2; exit 1; }
    sudo=(sudo)
fi
apt() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null; }
apt update
apt install -y --no-install-recommends "${missing[@]}" >/dev/null

probe "$1" >"$report"
[ ${#missing[@]} -eq 0 ] && exit 0
echo "Still missing after the installation:" >&2
cat "$report" >&2
if [[ " ${missing[*]} " == *" python3 "* ]]; then
    echo "The newest Python here is $(python3 --version 2>&1); put a Python >= 3.11 on PATH as python3." >&2
fi
exit 1

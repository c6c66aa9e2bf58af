#!/bin/bash
# Installs the package into .venv (a copy: a running gateway must not change with the working tree), then starts it.
set -euo pipefail
cd "$(dirname "$0")/.."
gateway=$PWD/.venv/bin/openclaw-gateway

stamp=.venv/.package
updated=
want=$(find gateway pyproject.toml -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    echo "Installing openclaw-gateway into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
    echo "$want" >"$stamp"
    updated=yes
fi

talk() {
    local port
    port=$("$gateway" config get gateway.port 2>/dev/null || echo 18789)
    cat <<TEXT

Talk to it:   $gateway chat
              $gateway agent --message 'hello'
Ask for it:   curl -s http://localhost:$port/healthz
              $gateway call health
WebSocket:    ws://localhost:$port (OpenClaw's protocol)
The token:    gateway.auth.token in ~/.openclaw/openclaw.json; without one, ~/.openclaw/gateway/token is made for you
Change it:    edit ~/.openclaw/openclaw.json; '$gateway logs' shows what each edit did
TEXT
}

: "${XDG_RUNTIME_DIR:=/run/user/$(id -u)}"
export XDG_RUNTIME_DIR
if ! command -v systemctl >/dev/null || ! systemctl --user show --property=Version >/dev/null 2>&1; then
    echo "No systemd user manager answers here (nothing listens in $XDG_RUNTIME_DIR/systemd/), so no unit can hold the port:"
    echo "running in the foreground. Restarts by 'openclaw-gateway restart' still lose nothing; a crash does. Ctrl-C ends it."
    talk
    echo
    exec "$gateway" run
fi
was_active=$(systemctl --user is-active openclaw-gateway.service || true)
"$gateway" install --now
# What was running still is the old version. The gateway is replaced now, the agent when none of its runs is on.
if [ "$updated" ] && [ "$was_active" = active ]; then "$gateway" restart; fi
if [ "$updated" ] && systemctl --user --quiet is-active openclaw-agent.service; then
    systemctl --user kill --kill-whom=main --signal=SIGUSR1 openclaw-agent.service
fi
"$gateway" status || true
talk
cat <<TEXT
Stop it:      $gateway stop (and 'start' again)
Remove it:    $gateway uninstall (your config and state stay)
TEXT

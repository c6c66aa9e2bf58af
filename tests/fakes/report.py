"""What a gateway that is well says of itself."""

from typing import Any

from gateway.report import ConfigReport, Restarts, StatusReport


def make_report(**more: Any) -> StatusReport:
    """`more` is what differs."""
    facts: dict[str, Any] = {
        "pid": 77,
        "boot_id": "one",
        "version": "0.1.0",
        "phase": "running",
        "ready": True,
        "degraded": (),
        "started_at": 0,
        "uptime_ms": 0,
        "listeners": ("127.0.0.1:18789", "[::1]:18789"),
        "port_owner": "systemd",
        "unit": None,
        "executable": "",
        "state_dir": "/home/u/.openclaw",
        "websockets": 0,
        "connections": 0,
        "config": ConfigReport("/home/u/.openclaw/openclaw.json", "good", "file"),
        "restarts": Restarts(),
    }
    return StatusReport(**{**facts, **more})

"""Where log lines go under systemd: the journal with priority and fields, OpenClaw's file, and no secret in either."""

import json

from tests.e2e.gateway import SERVICE, TOKEN, Gateway
from tests.e2e.manager import until

ERROR, INFO = "3", "6"


def test_the_journal_gets_priority_subsystem_and_boot(gateway: Gateway) -> None:
    gateway.get()
    gateway.configure("{ broken")
    until(lambda: gateway.report()["config"]["state"] == "degraded", "the broken config is noticed")
    entries = [entry for entry in gateway.manager.journal(SERVICE) if "OPENCLAW_SUBSYSTEM" in entry]
    listening = next(entry for entry in entries if str(entry["MESSAGE"]).startswith("listening on"))
    assert (listening["PRIORITY"], listening["OPENCLAW_SUBSYSTEM"]) == (INFO, "gateway")
    assert listening["OPENCLAW_BOOT"] == gateway.report()["boot_id"]
    assert listening["SYSLOG_IDENTIFIER"] == "openclaw-gateway"
    refused = next(entry for entry in entries if "invalid config" in str(entry["MESSAGE"]))
    assert (refused["PRIORITY"], refused["OPENCLAW_SUBSYSTEM"]) == (ERROR, "gateway/reload")


def test_the_file_is_openclaws_and_logs_reads_it(gateway: Gateway) -> None:
    gateway.get()
    path = gateway.report()["log_file"]
    lines = [json.loads(line) for line in gateway.manager.path(path).read_text().splitlines()]
    assert all({"0", "1", "_meta", "time"} <= line.keys() for line in lines)
    assert "listening on" in gateway.command("logs").stdout


def test_no_secret_is_said_anywhere(gateway: Gateway) -> None:
    for method in ("health", "status", "config.get"):
        assert TOKEN not in gateway.command("call", method).stdout
    gateway.command("call", "health", "--token", "wrong-and-secret", check=False)
    gateway.command("restart")
    said = "\n".join(gateway.manager.messages(SERVICE))
    said += gateway.manager.path(gateway.report()["log_file"]).read_text()
    said += gateway.manager.systemctl("status", SERVICE).stdout
    said += json.dumps(gateway.status())
    assert TOKEN not in said and "wrong-and-secret" not in said

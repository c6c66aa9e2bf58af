"""What `make conformance` takes for an error of a real client: its own words, as they were printed."""

from dataclasses import replace

import pytest

from conformance.verdict import TIMED_OUT, Run


def run(stdout: str = "fine\n", stderr: str = "", status: int = 0) -> Run:
    return Run("2026.9.6", "status", status, 1.0, stdout, stderr)


@pytest.mark.parametrize(
    "line",
    [
        "Gateway not reachable: Error: unknown method: channels.status",
        "unknown method: logs.tail",
        "  Connect: failed - timeout",
        "RPC probe: failed",
        "gateway closed (1006 abnormal closure (no close frame)): no close reason",
        "Gateway call failed: Error: gateway timeout after 10000ms",
        "│ Gateway │ local · ws://127.0.0.1:18789 (local loopback) · unreachable (missing scope: operator.read) │",
        "TypeError: Cannot read properties of undefined (reading 'map')",
        "connect ECONNREFUSED 127.0.0.1:18789",
        "Session store: undefined",
        "\x1b[31mGateway not reachable.\x1b[39m Is it running and accessible?",
    ],
)
def test_a_line_of_a_client_that_is_an_error(line: str) -> None:
    assert not run(stdout=line).good
    assert not run(stderr=line).good
    assert len(run(stderr=line).errors) == 1


@pytest.mark.parametrize(
    "line",
    [
        '  "errors": 0,',
        '    "errors": [],',
        '    "failed": 0,',
        "  Connect: ok (32ms) · Capability: read-only · Read probe: ok",
        "Runtime: unknown (Error: systemctl --user unavailable: Failed to connect to bus: No medium found)",
        "systemd user services unavailable.",
        "│ Memory          │ enabled (plugin memory-core) · unavailable │",
    ],
)
def test_a_line_that_says_nothing_of_the_gateway(line: str) -> None:
    assert run(stdout=line).good


def test_errors_that_were_counted_are_errors() -> None:
    assert run(stdout='  "errors": 1,').errors == ['"errors": 1,']


def test_an_exit_status_no_end_and_no_output_are_bad() -> None:
    assert run(status=1).trouble == ["exit 1"]
    assert run(status=TIMED_OUT).trouble == ["no end within its time"]
    assert run(stdout="\n").trouble == ["printed nothing"]
    assert run().good and run().trouble == []


def test_what_has_to_be_printed() -> None:
    assert replace(run(stdout="You said: hi\n"), printed="You said: hi").good
    assert replace(run(), printed="You said: hi").trouble == ["did not print: You said: hi"]


def test_a_worthless_run_is_bad_whatever_it_printed() -> None:
    assert not replace(run(), note="there was no restart").good

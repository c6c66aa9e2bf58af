"""What `make conformance` takes for an error on a page: texts as the Control UIs showed them."""

from dataclasses import replace

import pytest

from conformance.sight import ABSENT, HARMLESS, Sight

FINE = Sight("2026.9.6", "logs", True, lines=("Logs", "Refresh"))


@pytest.mark.parametrize(
    "line",
    [
        "unknown method: themes.list",
        "invalid cron.list params: at root: unexpected property 'trigger'",
        "Channel config schema unavailable.",
        "Unsupported schema node. Use Raw mode.",
        "disconnected (1006): no reason",
        "Reconnecting…",
        "Actions are unavailable while the Gateway reconnects.",
        "cron.list returned an invalid inventory page",
        "Could not load transcripts",
        "missing scope: operator.read",
        "Updated NaN ago",
        "No AI provider configured",
        "provider:mock · model:m1 · msgs:2 · tools:0 · errors:1 · dur:3s",
    ],
)
def test_a_line_that_a_reader_would_take_for_an_error(line: str) -> None:
    assert replace(FINE, lines=(line,)).trouble == [f"on the page: {line}"]


@pytest.mark.parametrize(
    "line",
    [
        "error",
        '"errors": [],',
        '"failures": 0,',
        "Applied when the UI prompt is unavailable.",
        *("ERROR RATE ?", "ERRORS ?", "0 errors · 47s avg session", "PEAK ERROR DAYS", "No error data"),
        "provider:builtin · model:echo · msgs:2 · tools:0 · errors:0 · dur:3s",
        "Save the session to open in this browser without reconnecting.",
        "Overnight issues, PRs, and CI failures, ranked by urgency.",
        *sorted(ABSENT),
    ],
)
def test_a_line_that_is_no_error(line: str) -> None:
    assert replace(FINE, lines=(line,)).good


def test_every_alert_is_an_error_but_what_says_that_something_is_not_here() -> None:
    assert replace(FINE, alerts=("Saved.\nReload?",)).trouble == ["alert: Saved. · Reload?"]
    assert replace(FINE, alerts=tuple(ABSENT)).good


def test_a_refusal_counts_unless_its_method_is_known_to_be_harmless() -> None:
    known = tuple((name, f"unknown method: {name}") for name in HARMLESS)
    assert replace(FINE, refused=known).good
    assert replace(FINE, refused=(("new.one", "unknown method: new.one"),)).trouble == [
        "refused: new.one: unknown method: new.one"
    ]


def test_errors_of_the_console_and_faults() -> None:
    font = "Failed to load resource: net::ERR_NAME_NOT_RESOLVED https://fonts.googleapis.com/css2?family=X"
    config = "Failed to load resource: 404 http://127.0.0.1:4711/control-ui-config.json"
    missing = "Failed to load resource: the server responded with a status of 404 (Not Found)"
    picture = f"{missing} http://127.0.0.1:1/avatar/main"
    assert replace(FINE, console=(font, picture)).good
    assert replace(FINE, console=(config,)).trouble == [f"console: {config}"]
    assert replace(FINE, console=(config,), elsewhere=True).good
    assert replace(FINE, faults=("x is undefined",)).trouble == ["fault: x is undefined"]


def test_a_page_must_be_there_and_connected() -> None:
    assert replace(FINE, connected=False).trouble == ["not connected"]
    assert replace(FINE, lines=()).trouble == ["nothing on the page"]
    assert FINE.good and FINE.trouble == []

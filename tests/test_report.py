"""The words on the control socket: old and new programs must understand each other by them."""

import msgspec
import pytest

from gateway.report import DEGRADED, Issue, ReloadResult, RestartTicket, StatusReport
from tests.fakes.report import make_report


@pytest.mark.parametrize(
    ("issue", "line"),
    [
        (Issue("expected an integer"), "expected an integer"),
        (Issue("expected an integer", "gateway.port"), "gateway.port: expected an integer"),
        (Issue("no", "a.b", "/c.json", 3, 5), "/c.json:3:5: a.b: no"),
        (Issue("no", "a.b", "/c.json"), "/c.json: a.b: no"),
        (Issue("no", file="/c.json", line=3), "/c.json:3: no"),
        (Issue("no", "a", found="'x'", allowed="1 to 9"), "a: no; found 'x'; allowed: 1 to 9"),
        (Issue("unknown key", "a.prot", hint="did you mean a.port?"), "a.prot: unknown key (did you mean a.port?)"),
        (Issue("no", found="''", allowed="a word", hint="say one"), "no; found ''; allowed: a word (say one)"),
        (Issue("no", found=""), "no; found "),
    ],
)
def test_an_issue_is_one_line_with_its_place_first(issue: Issue, line: str) -> None:
    assert str(issue) == line


@pytest.mark.parametrize(
    ("outcome", "ok"),
    [(word, word not in ("invalid", "failed")) for word in
     ("unchanged", "nothing", "hot", "restart", "ignored", "invalid", "off", "failed")],
)  # fmt: skip
def test_a_reload_went_well_unless_the_config_is_wrong_or_an_action_failed(outcome: str, ok: bool) -> None:
    assert msgspec.convert({"outcome": outcome, "message": ""}, ReloadResult).ok is ok


def test_a_report_comes_back_as_it_was() -> None:
    report = make_report(degraded=DEGRADED, log_file="/l", conversations_problem="the disk is full")
    assert msgspec.json.decode(msgspec.json.encode(report), type=StatusReport) == report


def test_an_older_programs_report_lacks_what_was_added_since() -> None:
    told = msgspec.to_builtins(make_report(watching="polling"))
    for later in ("restart_problem", "conversations_problem", "log_file", "watching", "settled"):
        del told[later]
    found = msgspec.convert({**told, "of_a_newer_one": 1}, StatusReport)
    assert found == make_report(watching="off")


def test_what_says_nothing_is_not_sent() -> None:
    assert msgspec.json.encode(RestartTicket("scheduled", "b")) == b'{"state":"scheduled","boot_id":"b"}'
    assert msgspec.json.encode(Issue("no")) == b'{"message":"no"}'

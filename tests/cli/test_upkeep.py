"""`sessions import`, `backup`, `check` and `recover`, with a gateway that runs and without one."""

import json
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gateway import __version__
from gateway.exits import ExitCode
from gateway.sessions.openclaw import imports
from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import writable
from tests.cli.conftest import FakeControl
from tests.cli.talking import ECHO, Talking
from tests.sessions.openclaw.state import ANSWERED, LINES, SESSION, event, write_files

Invoke = Callable[..., Result]
KEY = "agent:main:imported"
ENTRY = {"sessionId": SESSION, "updatedAt": ANSWERED, "label": "Trip"}


@pytest.fixture
def database(home: Path, gateway: FakeControl) -> Path:
    """The database of a gateway that has never run."""
    return home / ".openclaw" / "gateway" / "conversations.sqlite"


def openclaw(folder: Path) -> Path:
    write_files(folder, {KEY: ENTRY}, {f"{SESSION}.jsonl": LINES, "old.jsonl": LINES})
    return folder


# -- import ------------------------------------------------------------------------------------------------------------


def test_import_takes_the_state_folder_that_both_share(database: Path, invoke: Invoke) -> None:
    state = openclaw(database.parents[1])
    dry = invoke("sessions", "import", "--dry-run")
    assert dry.stdout == (
        f"would import 1 session with 2 messages from {state}\nleft out 1 transcript that no session refers to\n"
    )
    assert not database.exists()
    assert invoke("sessions", "import").stdout.startswith(f"imported 1 session with 2 messages from {state}\n")
    assert invoke("sessions", "import").stdout.splitlines()[:2] == [
        f"imported 0 sessions with 0 messages from {state}",
        "1 session is here already",
    ]


def test_import_says_what_it_skips_and_leaves_out(database: Path, invoke: Invoke, tmp_path: Path) -> None:
    write_files(tmp_path / "other", {"main": {}, KEY: ENTRY}, {f"{SESSION}.jsonl": [*LINES, "{"]})
    (tmp_path / "other" / "agents" / "No agent").mkdir()
    done = invoke("sessions", "import", "--from", str(tmp_path / "other"))
    assert done.exit_code == ExitCode.OK
    assert done.stdout.splitlines()[1:] == [
        "skipped all of agent No agent: its name is no agent's id",
        "skipped main: its entry names no transcript",
        "left out 1 lines that cannot be read",
    ]


def test_import_in_json_is_the_report(database: Path, invoke: Invoke, tmp_path: Path) -> None:
    source = openclaw(tmp_path / "other")
    answer = json.loads(invoke("sessions", "import", "--from", str(source), "--json").stdout)
    assert answer["sessions"] == [{"key": KEY, "messages": 2}]
    assert (answer["source"], answer["dry_run"], answer["orphans"]) == (str(source), False, 1)


def test_import_names_sessions_as_the_config_does(database: Path, invoke: Invoke, tmp_path: Path) -> None:
    (database.parents[1]).mkdir()
    (database.parents[1] / "openclaw.json").write_text('{"session": {"mainKey": "home"}}')
    write_files(tmp_path / "other", {"main": ENTRY}, {})
    answer = json.loads(invoke("sessions", "import", "--from", str(tmp_path / "other"), "--json").stdout)
    assert answer["sessions"] == [{"key": "agent:main:home", "messages": 0}]


def test_import_refuses_what_is_not_openclaws(database: Path, invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("sessions", "import", "--from", str(tmp_path))
    assert (done.exit_code, done.stdout) == (ExitCode.FAILURE, "")
    assert done.stderr == f"error: {tmp_path} is no state folder of OpenClaw's: it has no agents\n"


def test_import_refuses_to_change_the_form_under_a_gateway_of_another_version(
    database: Path, invoke: Invoke, gateway: FakeControl, report: Any
) -> None:
    openclaw(database.parents[1])
    gateway.report = report(version="0.0.1")
    done = invoke("sessions", "import")
    assert done.exit_code == ExitCode.FAILURE
    assert done.stderr == f"error: 0.0.1 runs, and this is {__version__}: `openclaw-gateway restart` first\n"
    assert not database.exists()
    gateway.report = report(version=__version__)
    assert invoke("sessions", "import").exit_code == ExitCode.OK


@pytest.mark.process
def test_import_beside_a_gateway_that_runs(talking: Talking, tmp_path: Path) -> None:
    done = talking.cli("sessions", "import", "--from", str(openclaw(tmp_path)))
    assert done.stdout.startswith("imported 1 session with 2 messages")
    assert talking.said(KEY) == ["user: hey", "assistant: Hello! This is a mock reply."]
    assert talking.cli("chat", "--session", KEY, "and now?").returncode == 0
    assert talking.said(KEY)[2] == "user: and now?"
    assert talking.said(KEY)[3].endswith(f"{ECHO}and now?")
    assert "1 session is here already" in talking.cli("sessions", "import", "--from", str(tmp_path)).stdout
    rows = talking.call("sessions.list", search=KEY)["sessions"]
    assert [(row["key"], row["label"]) for row in rows] == [(KEY, "Trip")]
    talking.cli("sessions", "delete", KEY, "--yes")


# -- backup ------------------------------------------------------------------------------------------------------------


def test_backup_makes_a_file_that_a_gateway_can_take(database: Path, invoke: Invoke, tmp_path: Path) -> None:
    openclaw(database.parents[1])
    invoke("sessions", "import")
    target = tmp_path / "copy.sqlite"
    done = invoke("sessions", "backup", str(target))
    assert done.stdout == f"copied {target.stat().st_size / 1e6:.1f} MB to {target}\n"
    again = invoke("sessions", "backup", str(target))
    assert again.stderr == f"error: {target} is there already; name another file, or move it away\n"
    target.replace(database)
    assert invoke("sessions", "import").stdout.splitlines()[1] == "1 session is here already"


def test_backup_without_a_path_goes_into_a_folder_of_its_own(database: Path, invoke: Invoke) -> None:
    writable(database, MIGRATIONS).close()
    answer = json.loads(invoke("sessions", "backup", "--json").stdout)
    path = Path(answer["path"])
    assert path.parent == database.parents[1] / "backups"
    assert (path.stat().st_size, stat.S_IMODE(path.stat().st_mode)) == (answer["bytes"], 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_backup_of_nothing_says_so(database: Path, invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("sessions", "backup", str(tmp_path / "copy.sqlite"))
    assert done.exit_code == ExitCode.FAILURE
    assert done.stderr.startswith(f"error: cannot copy {database} to ") and "unable to open" in done.stderr


@pytest.mark.process
def test_backup_beside_a_gateway_that_runs(talking: Talking, tmp_path: Path) -> None:
    assert talking.cli("chat", "--session", "backed", "keep this").returncode == 0
    target = tmp_path / "copy.sqlite"
    assert talking.cli("sessions", "backup", str(target)).returncode == 0
    with closing(sqlite3.connect(target)) as db:
        query = "SELECT head FROM messages JOIN sessions ON sessions.id = session WHERE key = 'agent:main:backed'"
        assert ("keep this",) in db.execute(query).fetchall()
    talking.cli("sessions", "delete", "backed", "--yes")


# -- check -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_check_of_a_good_database(database: Path, invoke: Invoke, deep: list[str]) -> None:
    openclaw(database.parents[1])
    invoke("sessions", "import")
    done = invoke("sessions", "check", *deep)
    assert done.exit_code == ExitCode.OK
    assert done.stdout == f"good: 1 session and 2 messages in 0.1 MB, 0.0 MB of them unused; {database}\n"
    answer = json.loads(invoke("sessions", "check", *deep, "--json").stdout)
    assert (answer["sessions"], answer["messages"], answer["damages"]) == (1, 2, [])


def test_check_of_a_damaged_database(database: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    openclaw(database.parents[1])
    monkeypatch.setattr(imports, "LEAST_PAUSE_S", 0)
    invoke("sessions", "import")
    with database.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096))
    done = invoke("sessions", "check")
    assert done.exit_code == ExitCode.UNHEALTHY
    assert done.stdout.startswith("damaged:\n  ")


def test_check_of_what_is_no_database(database: Path, invoke: Invoke) -> None:
    database.parent.mkdir(parents=True)
    database.write_text("a diary" * 1000)
    done = invoke("sessions", "check")
    assert done.exit_code == ExitCode.UNHEALTHY
    assert done.stdout == f"cannot read {database}: file is not a database; it is something else: move it away\n"


def test_check_of_nothing(database: Path, invoke: Invoke) -> None:
    done = invoke("sessions", "check")
    assert done.exit_code == ExitCode.FAILURE
    assert done.stderr == f"error: there is no {database}; a gateway makes it when it begins\n"


@pytest.mark.process
def test_check_beside_a_gateway_that_runs(talking: Talking) -> None:
    done = talking.cli("sessions", "check", "--deep")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("good: ")


# -- recover -----------------------------------------------------------------------------------------------------------


def damaged(database: Path, invoke: Invoke) -> bytes:
    lines = [event(f"{n:08x}", f"{n - 1:08x}" if n else None, "x" * 1000) for n in range(100)]
    write_files(database.parents[1], {KEY: ENTRY}, {f"{SESSION}.jsonl": lines})
    assert invoke("sessions", "import").exit_code == ExitCode.OK
    with database.open("r+b") as file:
        file.seek(4096 * 20)
        file.write(b"\xff" * 4096)
    return database.read_bytes()


def test_recover_takes_what_can_be_read(database: Path, invoke: Invoke) -> None:
    before = damaged(database, invoke)
    assert invoke("sessions", "check").exit_code == ExitCode.UNHEALTHY
    done = invoke("sessions", "recover")
    assert done.exit_code == ExitCode.OK, done.output
    told, _, aside = done.stdout.strip().partition("; the old file is ")
    assert told.startswith("recovered 1 session with ")
    assert Path(aside).read_bytes() == before
    assert invoke("sessions", "check", "--deep").exit_code == ExitCode.OK


def test_recover_in_json(database: Path, invoke: Invoke) -> None:
    damaged(database, invoke)
    answer = json.loads(invoke("sessions", "recover", "--json").stdout)
    assert answer["rows"]["sessions"] == 1 and 50 < answer["rows"]["messages"] < 100


def test_recover_of_nothing_says_so(database: Path, invoke: Invoke) -> None:
    assert invoke("sessions", "recover").stderr.startswith(f"error: there is no {database}")


@pytest.mark.process
def test_recover_leaves_a_gateway_that_runs_alone(talking: Talking) -> None:
    done = talking.cli("sessions", "recover")
    assert done.returncode == ExitCode.ALREADY_RUNNING
    assert done.stderr == "error: a gateway uses the database: `openclaw-gateway stop` first\n"

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import structs

from gateway.protocol.scopes import ADMIN, READ
from gateway.runs.workspace import MAX_FILE_BYTES, NAMES
from tests.fakes.core import PATHS, FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

NEW = make_peer(4, ADMIN)


def core(folder: Path) -> FakeCore:
    found = configured({"agents": {"list": [{"id": "main", "workspace": str(folder / "ws")}]}})
    return replace(found, paths=structs.replace(PATHS, state=folder))


def ask(folder: Path, method: str, /, **params: Any) -> dict[str, Any]:
    return call(core(folder), NEW, method, {"agentId": "main", **params})


def test_files_that_are_there_and_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "SOUL.md").write_text("café")
    (tmp_path / "ws" / "TOOLS.md").write_text("")
    (tmp_path / "ws" / "other.md").write_text("x")
    payload = ask(tmp_path, "agents.files.list")["payload"]
    assert (payload["agentId"], payload["workspace"]) == ("main", str(tmp_path / "ws"))
    rows = {row["name"]: row for row in payload["files"]}
    assert list(rows) == ["AGENTS.md", "SOUL.md", "TOOLS.md", "USER.md", "MEMORY.md"]
    assert rows["AGENTS.md"] == {"name": "AGENTS.md", "path": str(tmp_path / "ws" / "AGENTS.md"), "missing": True}
    assert (rows["SOUL.md"]["missing"], rows["SOUL.md"]["size"]) == (False, 5)
    assert rows["SOUL.md"]["updatedAtMs"] > 0 and "content" not in rows["SOUL.md"]
    assert rows["MEMORY.md"]["expectedAbsent"] is True


def test_protocol_3_sees_every_name_and_no_newer_key(tmp_path: Path) -> None:
    def old(method: str, **params: str) -> Any:
        return call(core(tmp_path), make_peer(3, ADMIN), method, {"agentId": "main", **params})

    known = {"name", "path", "missing", "size", "updatedAtMs", "content"}
    written = old("agents.files.set", name="SOUL.md", content="x")["payload"]
    assert set(written) == {"ok", "agentId", "workspace", "file"} and set(written["file"]) == known
    assert old("agents.files.get", name="SOUL.md")["payload"]["file"] == written["file"]
    files = old("agents.files.list")["payload"]["files"]
    assert {row["name"]: row["missing"] for row in files} == {name: name != "SOUL.md" for name in NAMES}
    assert all(set(row) < known for row in files)
    assert old("agents.files.list", agentId="nobody")["error"]["message"] == "unknown agent id"


def test_a_file_with_its_text(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "SOUL.md").write_text("café")
    file = ask(tmp_path, "agents.files.get", name="SOUL.md")["payload"]["file"]
    assert (file["content"], file["hash"]) == ("café", hashlib.sha256("café".encode()).hexdigest())
    missing = ask(tmp_path, "agents.files.get", name="USER.md")["payload"]["file"]
    assert missing["missing"] is True and "content" not in missing


def test_writing_makes_the_workspace(tmp_path: Path) -> None:
    payload = ask(tmp_path, "agents.files.set", name="SOUL.md", content="new")["payload"]
    assert payload["ok"] is True and payload["file"]["content"] == "new"
    assert (tmp_path / "ws" / "SOUL.md").read_text() == "new"
    assert (tmp_path / "ws").stat().st_mode & 0o777 == 0o700


def test_what_somebody_else_wrote_is_not_overwritten(tmp_path: Path) -> None:
    first = ask(tmp_path, "agents.files.set", name="SOUL.md", content="one")["payload"]["file"]["hash"]
    second = ask(tmp_path, "agents.files.set", name="SOUL.md", content="two", expectedHash=first)["payload"]
    error = ask(tmp_path, "agents.files.set", name="SOUL.md", content="three", expectedHash=first)["error"]
    assert error["details"] == {"type": "agent_file_conflict", "currentHash": second["file"]["hash"]}
    assert (tmp_path / "ws" / "SOUL.md").read_text() == "two"


def test_only_names_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    for name in ("../x", "x.md", "/etc/passwd", "soul.md"):
        for method in ("agents.files.get", "agents.files.set"):
            more = {"content": "x"} if method.endswith("set") else {}
            assert ask(tmp_path, method, name=name, **more)["error"]["message"] == f'unsupported file "{name}"'
    assert list((tmp_path / "ws").iterdir()) == []


def test_a_link_out_of_the_workspace_is_neither_read_nor_written(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "ws" / "SOUL.md").symlink_to(tmp_path / "secret")
    assert ask(tmp_path, "agents.files.get", name="SOUL.md")["payload"]["file"]["missing"] is True
    error = ask(tmp_path, "agents.files.set", name="SOUL.md", content="x")["error"]
    assert error["code"] == "UNAVAILABLE" and "it leads out of the workspace" in error["message"]
    assert (tmp_path / "secret").read_text() == "s3cret"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "ws").write_text("no folder")
    error = ask(tmp_path, "agents.files.set", name="SOUL.md", content="x")["error"]
    assert (error["code"], error["message"]) == (
        "UNAVAILABLE",
        f"{tmp_path / 'ws' / 'SOUL.md'} cannot be written: File exists",
    )


def test_at_the_bound(tmp_path: Path) -> None:
    assert ask(tmp_path, "agents.files.set", name="SOUL.md", content="x" * MAX_FILE_BYTES)["ok"] is True
    error = ask(tmp_path, "agents.files.set", name="SOUL.md", content="x" * (MAX_FILE_BYTES + 1))["error"]
    assert error["message"] == f"content is larger than {MAX_FILE_BYTES} bytes"


def test_an_agent_that_is_none(tmp_path: Path) -> None:
    error = call(core(tmp_path), NEW, "agents.files.list", {"agentId": "nobody"})["error"]
    assert error["message"] == 'agent "nobody" not found'


def test_writing_is_for_administrators(tmp_path: Path) -> None:
    ask_set = {"agentId": "main", "name": "SOUL.md", "content": "x"}
    error = call(core(tmp_path), make_peer(4, READ), "agents.files.set", ask_set)["error"]
    assert error["message"] == "missing scope: operator.admin"

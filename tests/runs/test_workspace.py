"""An agent's folder and what is read of it."""

import os
from pathlib import Path

import pytest

from gateway.runs import workspace
from gateway.runs.workspace import MAX_FILE_BYTES, folder, read, read_one


def test_the_folder_of_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(workspace.VARIABLE, raising=False)
    state = Path("/state")
    tree = {"agents": {"defaults": {"workspace": "/ws"}, "list": [{"id": "a"}, {"id": "b", "workspace": "~/b"}]}}
    assert folder({}, state, "main") == state / "workspace"
    assert folder(tree, state, "A") == Path("/ws")
    assert folder(tree, state, "b") == Path.home() / "b"
    assert folder(tree, state, "c") == state / "workspace-c"
    monkeypatch.setenv(workspace.VARIABLE, "/elsewhere")
    assert folder({}, state, "main") == Path("/elsewhere")
    assert folder(tree, state, "a") == Path("/ws")


def test_no_folder_is_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == {}


def test_what_is_there_is_read(tmp_path: Path) -> None:
    (tmp_path / "SOUL.md").write_bytes(b"caf\xc3\xa9 \xff")
    (tmp_path / "other.md").write_text("x")
    assert read(tmp_path) == {"SOUL.md": "café �"}


def test_at_the_bound(tmp_path: Path) -> None:
    (tmp_path / "SOUL.md").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    assert len(read_one(tmp_path, "SOUL.md")) == MAX_FILE_BYTES


def test_a_link_is_followed_inside_only(tmp_path: Path) -> None:
    inside, outside = tmp_path / "ws", tmp_path / "secret"
    inside.mkdir()
    outside.write_text("s3cret")
    (inside / "real").write_text("fine")
    (inside / "SOUL.md").symlink_to(inside / "real")
    (inside / "USER.md").symlink_to(outside)
    (tmp_path / "link").symlink_to(inside)
    assert read(tmp_path / "link") == {"SOUL.md": "fine"}
    for name in ("USER.md", "../secret", str(outside)):
        with pytest.raises(PermissionError, match="it leads out of the workspace"):
            read_one(inside, name)


def test_what_is_no_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "SOUL.md")
    (tmp_path / "USER.md").mkdir()
    assert read(tmp_path) == {}


def test_a_file_with_another_name_is_not_read(tmp_path: Path) -> None:
    """GHSA-3jx4: a hard link says nothing of where its other name lies."""
    inside = tmp_path / "workspace"
    inside.mkdir()
    (tmp_path / "secret").write_text("s3cret")
    os.link(tmp_path / "secret", inside / "SOUL.md")
    assert workspace.read(inside) == {} and workspace.look(inside, "SOUL.md", text=True) is None
    with pytest.raises(OSError, match="another name"):
        workspace.read_one(inside, "SOUL.md")
    workspace.write(inside, "SOUL.md", "mine")
    assert (tmp_path / "secret").read_text() == "s3cret" and workspace.read(inside) == {"SOUL.md": "mine"}

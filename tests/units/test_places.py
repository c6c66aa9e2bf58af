from pathlib import Path

from gateway.units.places import drop_ins, lingers, read, unit_folder


def test_the_unit_folder_follows_xdg() -> None:
    assert unit_folder({"HOME": "/home/u"}) == Path("/home/u/.config/systemd/user")
    assert unit_folder({"HOME": "/home/u", "XDG_CONFIG_HOME": "/c"}) == Path("/c/systemd/user")
    assert unit_folder({"HOME": "/home/u", "XDG_CONFIG_HOME": "relative"}) == Path("/home/u/.config/systemd/user")


def test_drop_ins_in_the_order_in_which_systemd_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "x.socket.d"
    folder.mkdir()
    for name in ("override.conf", "10-listen.conf", "notes.txt"):
        (folder / name).touch()
    assert [path.name for path in drop_ins(tmp_path, "x.socket")] == ["10-listen.conf", "override.conf"]


def test_lingering_is_a_file_of_logind(tmp_path: Path) -> None:
    folder = tmp_path / "systemd/linger"
    assert lingers("u", folder) is None
    folder.mkdir(parents=True)
    assert lingers("u", folder) is False
    (folder / "u").touch()
    assert lingers("u", folder) is True


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert read(tmp_path / "no") is None
    (tmp_path / "bytes").write_bytes(b"a\xff")
    assert read(tmp_path / "bytes") == "a\ufffd"

from pathlib import Path

from gateway.units.takeover import backups, put_aside


def test_backups_never_overwrite_each_other(tmp_path: Path) -> None:
    unit = tmp_path / "openclaw-gateway.service"
    for text in ("first", "second"):
        unit.write_text(text)
        put_aside(unit, clock=lambda: 1_700_000_000.0)
    assert not unit.exists()
    assert [path.read_text() for path in backups(tmp_path)] == ["first", "second"]
    assert all(path.suffix != ".service" for path in backups(tmp_path))  # systemd must not read them


def test_a_link_is_put_aside_as_a_link(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("kept")
    unit = tmp_path / "openclaw-gateway.service"
    unit.symlink_to(target)
    assert put_aside(unit).is_symlink()
    assert target.read_text() == "kept"

from pathlib import Path

from gateway.doctor.inotify import InotifyUsage, usage


def process(proc: Path, pid: int, *watches: int) -> int:
    for number, count in enumerate(watches, 3):
        for folder in ("fd", "fdinfo"):
            (proc / str(pid) / folder).mkdir(parents=True, exist_ok=True)
        (proc / str(pid) / "fd" / str(number)).symlink_to("anon_inode:inotify")
        lines = "pos:\t0\nflags:\t02004000\n" + "inotify wd:1 ino:1\n" * count
        (proc / str(pid) / "fdinfo" / str(number)).write_text(lines)
    (proc / str(pid) / "fd/0").symlink_to("/dev/null")
    return (proc / str(pid)).stat().st_uid


def test_counts_and_limits(tmp_path: Path) -> None:
    uid = process(tmp_path, 1, 3)
    process(tmp_path, 2, 2, 0)
    (tmp_path / "self").mkdir()
    limits = tmp_path / "sys/fs/inotify"
    limits.mkdir(parents=True)
    (limits / "max_user_instances").write_text("128\n")
    assert usage(tmp_path, uid) == InotifyUsage(instances=3, max_instances=128, watches=5, max_watches=None)


def test_other_users_processes_do_not_count(tmp_path: Path) -> None:
    uid = process(tmp_path, 1, 3)
    assert usage(tmp_path, uid + 1) == InotifyUsage()


def test_a_process_that_ends_while_we_look(tmp_path: Path) -> None:
    uid = process(tmp_path, 1, 1)
    (tmp_path / "2").mkdir()
    (tmp_path / "1/fdinfo/3").unlink()
    assert usage(tmp_path, uid).instances == 0

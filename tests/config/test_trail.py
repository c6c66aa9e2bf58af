from pathlib import Path

from gateway.config.trail import follow, merge


def test_a_plain_file(tmp_path: Path) -> None:
    assert follow(tmp_path / "f") == {str(tmp_path): {"f"}}


def test_every_link_on_the_way(tmp_path: Path) -> None:
    for name in ("real", "conf"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("real")
    (tmp_path / "conf" / "f").symlink_to("../current/./g")
    (tmp_path / "real" / "g").symlink_to(tmp_path / "real" / "h")
    assert follow(tmp_path / "conf" / "f") == {
        str(tmp_path / "conf"): {"f"},
        str(tmp_path): {"current"},
        str(tmp_path / "real"): {"g", "h"},
    }


def test_what_is_missing_is_waited_for_where_it_would_appear(tmp_path: Path) -> None:
    assert follow(tmp_path / "a" / "b" / "f") == {str(tmp_path): {"a"}}
    (tmp_path / "a").symlink_to("nowhere")
    assert follow(tmp_path / "a" / "f") == {str(tmp_path): {"a", "nowhere"}}


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert follow(tmp_path / "a" / "f") == {str(tmp_path): {"a"}}


def test_a_circle_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert follow(tmp_path / "a") == {str(tmp_path): {"a", "b"}}


def test_merging() -> None:
    assert merge([{"/a": {"x"}}, {"/a": {"y"}, "/b": {"z"}}]) == {"/a": {"x", "y"}, "/b": {"z"}}

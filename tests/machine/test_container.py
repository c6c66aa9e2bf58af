from pathlib import Path

import pytest

from gateway.cli.run import _checked_bind
from gateway.machine import container
from gateway.machine.container import bind_word, detect

HEX = "a1" * 32


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        (f"12:pids:/docker/{HEX}", True),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{HEX}.scope", True),
        ("11:cpu:/kubepods/besteffort/pod1", True),
        (f"1:name=systemd:/system.slice/containerd/{HEX}", True),
        ("1:name=systemd:/lxc/web", True),
        ("0::/init.scope", False),
        ("0::/user.slice/user-1000.slice/docker.service", False),
        ("", False),
    ],
)
def test_a_container_shows_in_the_cgroup_of_its_first_process(tmp_path: Path, cgroup: str, found: bool) -> None:
    file = tmp_path / "cgroup"
    file.write_text(f"{cgroup}\n")
    assert detect({}, (), file) is found


def test_a_container_shows_by_its_mark_or_its_variables(tmp_path: Path) -> None:
    assert not detect({}, (tmp_path / "mark",), tmp_path / "none")
    (tmp_path / "mark").touch()
    assert detect({}, (tmp_path / "mark",), tmp_path / "none")
    assert detect({"FLY_MACHINE_ID": "1", "FLY_APP_NAME": "a"}, (), tmp_path / "none")
    assert not detect({"FLY_MACHINE_ID": "1", "FLY_APP_NAME": " "}, (), tmp_path / "none")


@pytest.mark.parametrize(("inside", "word"), [(True, "lan"), (False, "loopback")])
def test_auto_is_all_addresses_in_a_container_alone(monkeypatch: pytest.MonkeyPatch, inside: bool, word: str) -> None:
    monkeypatch.setattr(container, "inside", lambda: inside)
    assert bind_word("auto") == _checked_bind(None, None, "auto") == word  # type: ignore[arg-type]
    assert bind_word("custom") == "custom"

from pathlib import Path

import pytest

from gateway.units import AGENT_SERVICE, MARK, SERVICE
from gateway.units.hindrances import find


def drop_in(folder: Path, unit: str, text: str, name: str = "override.conf") -> Path:
    path = folder / f"{unit}.d" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("unit", "setting", "why"),
    [
        (SERVICE, "ProtectHome=read-only", "state folder"),
        (SERVICE, "ProtectHome=yes", "state folder"),
        (SERVICE, "ProtectHome=tmpfs", "state folder"),
        (SERVICE, "ProtectSystem=strict", "state folder"),
        (SERVICE, "PrivateTmp=yes", "log file"),
        (AGENT_SERVICE, "PrivateNetwork=true", "no provider"),
        (AGENT_SERVICE, "CapabilityBoundingSet=", "218/CAPABILITIES"),
        (SERVICE, "Type=simple", "does not hear"),
        (SERVICE, "Restart=no", "crash"),
        (SERVICE, "FileDescriptorStoreMax=0", "do not outlive"),
        (AGENT_SERVICE, "MemoryDenyWriteExecute=yes", "JavaScript"),
    ],
)
def test_a_drop_in_that_takes_what_a_service_needs_is_named(tmp_path: Path, unit: str, setting: str, why: str) -> None:
    path = drop_in(tmp_path, unit, f"# mine\n[Service]\n{setting}\n")
    [found] = find(tmp_path)
    assert (found.path, found.unit, found.setting) == (path, unit, setting)
    assert why in found.why


@pytest.mark.parametrize(
    "text",
    [
        "[Service]\nProtectHome=no\nProtectSystem=full\nPrivateTmp=no\n",
        "[Service]\nProtectHome=read-only\nReadWritePaths=%h/.openclaw\n",
        "[Service]\nProtectSystem=strict\nBindPaths=/home/u\n",
        "[Service]\nMemoryDenyWriteExecute=yes\n",
        "[Unit]\nProtectHome=yes\n",
        f"{MARK}\n[Service]\nProtectHome=yes\n",
        "",
    ],
)
def test_what_hinders_nothing_is_not(tmp_path: Path, text: str) -> None:
    drop_in(tmp_path, SERVICE, text)
    assert find(tmp_path) == []


def test_the_last_word_counts(tmp_path: Path) -> None:
    drop_in(tmp_path, SERVICE, "[Service]\nProtectHome=yes\n", "10-hard.conf")
    drop_in(tmp_path, SERVICE, "[Service]\nProtectHome=no\n", "20-soft.conf")
    assert find(tmp_path) == []
    assert find(tmp_path / "none") == []

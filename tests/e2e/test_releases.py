"""A gateway of a release before is upgraded to this one under its clients.

Its rehearsal imports modules of this tree by their former names, and what it hands over was written by its own code.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from gateway import __version__
from tests.e2e.gateway import Gateway
from tests.e2e.installation import PROJECT, changed_copy, changed_wheel, install_into, wheel
from tests.e2e.load import peers
from tests.e2e.manager import UserManager, until
from tests.e2e.test_connections import assert_nobody_noticed, links
from tests.e2e.test_runs import assert_each_word_once, configure_pace, talkers

RELEASES = {"first": "86b101ac26d0ae8ccf82a4cb04532224dc1cbcc8", "last": "0a0e210e"}
"""By their commits: the oldest that is supported, and the last one whose modules lay directly in gateway/."""
PACE_MS = 500
"""So an answer takes longer than a restart."""
TALKERS = 3
CROWD = {"ours": 20, "library": 20, "listens": 10}


def checkout(commit: str, folder: Path) -> Path:
    """That commit's tree in `folder`."""
    archive = folder / "tree.tar"
    found = subprocess.run(["git", "-C", str(PROJECT), "archive", "-o", str(archive), commit], capture_output=True)
    if found.returncode != 0:
        pytest.skip(f"needs the history of the project: commit {commit[:7]} is not in this clone")
    tree = folder / "tree"
    tree.mkdir()
    subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={tree}"], check=True)
    return tree


@pytest.mark.exhaustive
@pytest.mark.parametrize("release", RELEASES)
def test_an_upgrade_from_a_release_before_loses_nothing(installation: Path, tmp_path: Path, release: str) -> None:
    """In `make test`, test_upgrades has the upgrade and tests/test_runtime.py the names that are imported."""
    venv = changed_copy(installation, tmp_path / "venv")
    install_into(venv, wheel(checkout(RELEASES[release], tmp_path), tmp_path / "old"))
    new = changed_wheel(tmp_path, {})
    with UserManager(tmp_path, venv) as manager:
        gateway = Gateway(manager)
        configure_pace(gateway, PACE_MS)
        gateway.command("install")
        gateway.begin()
        # The clients are this tree's: in the release their modules have other names.
        shutil.copytree(PROJECT / "gateway", manager.home / "clients" / "gateway")
        env = {"PYTHONPATH": f"{manager.inner_home}/clients"}
        with peers(manager, env=env, **CROWD) as found:
            until(lambda: any("sqlite" in name for name in gateway.descriptors()), "an open database", 30)
            install_into(venv, new)
            with talkers(gateway, "over", TALKERS, env) as talks:
                talks.until("first")
                before = links(gateway)
                gateway.command("restart")
                assert gateway.report()["version"] == __version__
                assert len(before & links(gateway)) == len(before) == sum(CROWD.values()) + TALKERS
        assert_nobody_noticed(found)
        assert_each_word_once(talks)
        assert all((talk["connects"], talk["asked"]) == (1, 1) for talk in talks.found)

"""The last config that ran. A gateway starts with it when the user's file has errors.

It is stored before `${VAR}` is replaced, so that no secret of the environment is copied to disk. The user's file is
never written from it.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.files import DOTENV_NAME, Snapshot, evaluate, load_dotenv
from gateway.config.parse import TextPosition
from gateway.files.atomic import replace_text

FORMAT = 1
MAX_BYTES = 8 * 1024 * 1024
"""A config with all its includes is smaller; a larger file is not ours."""

log = logging.getLogger("gateway.config")


def location(state_dir: Path) -> Path:
    return state_dir / "gateway" / "last-good.json"


def save(state_dir: Path, snapshot: Snapshot) -> None:
    """Store a config that has run, unless it is stored already. Raises OSError, and ValueError for one with issues."""
    if snapshot.config is None:
        raise ValueError("a config with issues is not a good one")
    file = location(state_dir)
    known = _load(file)
    if known and (known["digest"], known["path"]) == (snapshot.digest, str(snapshot.path)):
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = {"version": FORMAT, "path": str(snapshot.path), "digest": snapshot.digest, "tree": snapshot.merged}
    replace_text(file, json.dumps(record, indent=2) + "\n")


def load(state_dir: Path, config_path: Path, env: Mapping[str, str]) -> Snapshot | None:
    """None if nothing is stored, or for another config file, or it is no longer valid. Never raises."""
    file = location(state_dir)
    record = _load(file)
    if record is None or record["path"] != str(config_path):
        return None
    start = Snapshot(config_path, True, (), digest=record["digest"], parsed=record["tree"], merged=record["tree"])
    found = evaluate(
        start, lambda path, *, key=False: TextPosition(str(file)), env, load_dotenv(state_dir / DOTENV_NAME)
    )
    if found.config is None:
        log.warning("the last known good config is no longer valid: %s", "; ".join(map(str, found.issues)))
        return None
    return found


def _load(file: Path) -> dict[str, Any] | None:
    try:
        with file.open("rb") as stream:
            record = json.loads(stream.read(MAX_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.warning("the last known good config cannot be read: %s: %s", file, error)
        return None
    texts_and_tree = {"path": str, "digest": str, "tree": dict}
    fits = isinstance(record, dict) and record.get("version") == FORMAT
    return record if fits and all(isinstance(record.get(key), kind) for key, kind in texts_and_tree.items()) else None

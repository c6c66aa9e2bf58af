"""Files, folders and variables of the releases before the name OpenClaw. The gateway does not read them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

NAMES = ("clawdbot.json", "moltbot.json", "moldbot.json")
"""File names of the config then, in the folder of today's config or in `FOLDERS`."""
FOLDERS = (".clawdbot", ".moltbot", ".moldbot")
PREFIXES = ("CLAWDBOT_", "MOLTBOT_")
TODAY = "OPENCLAW_"


def old_configs(config: Path, env: Mapping[str, str]) -> list[Path]:
    """Config files with old names, in the order in which OpenClaw 2026.2.1 looked for them."""
    home = env.get("OPENCLAW_HOME") or env.get("HOME")
    folders = [config.parent, *(Path(home) / name for name in FOLDERS)] if home else [config.parent]
    names = [*NAMES, "openclaw.json"]
    found = (folder / name for folder in folders for name in names)
    return [path for path in found if path != config and _is_there(path)]


def variable_warnings(env: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable with an old name."""
    for name in sorted(env):
        prefix = next((each for each in PREFIXES if name.startswith(each)), None)
        if prefix and env[name]:
            today = TODAY + name.removeprefix(prefix)
            rest = f"and {today}, which is set too, is" if env.get(today) else f"set {today} instead"
            yield f"the environment variable {name} is of former days and is not read; {rest}"


def warnings(config: Path, env: Mapping[str, str], dotenv: Mapping[str, str], *, absent: bool) -> list[str]:
    """A sentence for each leftover. An old config is reported if there is no config (`absent`)."""
    old = old_configs(config, env)[:1] if absent else []
    found = [f"{path}: a config of former days, which is not read (openclaw-gateway config migrate)" for path in old]
    return [*found, *variable_warnings({**dotenv, **env})]


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False

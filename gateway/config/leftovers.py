"""What a machine still has of the releases before OpenClaw's name: files, folders and variables that nobody reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path

NAMES = ("clawdbot.json", "moltbot.json", "moldbot.json")
"""What the config was called, in the folder of today's or in their own."""
FOLDERS = (".clawdbot", ".moltbot", ".moldbot")
PREFIXES = ("CLAWDBOT_", "MOLTBOT_")
TODAY = "OPENCLAW_"


def configs(config: Path, env: Mapping[str, str]) -> list[Path]:
    """Config files of former days, in the order in which OpenClaw 2026.2.1 looked for them."""
    home = env.get("OPENCLAW_HOME") or env.get("HOME")
    folders = [config.parent, *(Path(home) / name for name in FOLDERS)] if home else [config.parent]
    names = [*NAMES, "openclaw.json"]
    found = (folder / name for folder in folders for name in names)
    return [path for path in found if path != config and _is_there(path)]


def variables(env: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable that has another name today."""
    for name in sorted(env):
        prefix = next((each for each in PREFIXES if name.startswith(each)), None)
        if prefix and env[name]:
            today = TODAY + name.removeprefix(prefix)
            rest = f"and {today}, which is set too, is" if env.get(today) else f"set {today} instead"
            yield f"the environment variable {name} is of former days and is not read; {rest}"


def warnings(config: Path, env: Mapping[str, str], dotenv: Mapping[str, str], *, absent: bool) -> list[str]:
    """A sentence for what is left of them. Their config counts as long as there is none of today."""
    old = configs(config, env)[:1] if absent else []
    told = [f"{path}: a config of former days, which is not read (openclaw-gateway config migrate)" for path in old]
    return [*told, *variables({**dotenv, **env})]


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False

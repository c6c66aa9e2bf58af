from pathlib import Path

from gateway.config.files import read
from gateway.config.leftovers import old_configs, variable_warnings


def test_a_config_of_former_days_is_named_where_there_is_none_of_today(tmp_path: Path) -> None:
    config, env = tmp_path / ".openclaw" / "openclaw.json", {"HOME": str(tmp_path)}
    for folder in (".openclaw", ".clawdbot"):
        (tmp_path / folder).mkdir()
    assert read(config, env).warnings == ()
    old = tmp_path / ".clawdbot" / "clawdbot.json"
    old.write_text("{}")
    assert read(config, env).warnings == (
        f"{old}: a config of former days, which is not read (openclaw-gateway config migrate)",
    )
    beside = config.with_name("moltbot.json")
    beside.write_text("{}")
    assert old_configs(config, env) == [beside, old]
    assert old_configs(config, {}) == [beside]
    config.write_text("{}")
    assert read(config, env).warnings == ()


def test_variables_of_former_days() -> None:
    env = {
        "CLAWDBOT_GATEWAY_TOKEN": "x",
        "MOLTBOT_STATE_DIR": "y",
        "OPENCLAW_STATE_DIR": "z",
        "CLAWDBOT_X": "",
        "A": "b",
    }
    assert list(variable_warnings(env)) == [
        "the environment variable CLAWDBOT_GATEWAY_TOKEN is of former days and is not read; set OPENCLAW_GATEWAY_TOKEN "
        "instead",
        "the environment variable MOLTBOT_STATE_DIR is of former days and is not read; and OPENCLAW_STATE_DIR, which "
        "is set too, is",
    ]

import msgspec

from gateway.reload.answers import AccessPoint, SeenConfig


def test_a_secret_gets_into_no_log() -> None:
    door = AccessPoint(18789, token="t0k", password="pass")
    assert "t0k" not in repr(door) and "pass" not in f"{door}"
    assert msgspec.json.decode(msgspec.json.encode(door), type=AccessPoint) == door


def test_a_good_config_is_told_in_few_words() -> None:
    assert msgspec.json.encode(SeenConfig(valid=True)) == b'{"valid":true}'

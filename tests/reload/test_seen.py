import msgspec

from gateway.reload.seen import Door, Seen


def test_a_secret_gets_into_no_log() -> None:
    door = Door(18789, token="t0k", password="pass")
    assert "t0k" not in repr(door) and "pass" not in f"{door}"
    assert msgspec.json.decode(msgspec.json.encode(door), type=Door) == door


def test_a_good_config_is_told_in_few_words() -> None:
    assert msgspec.json.encode(Seen(valid=True)) == b'{"valid":true}'

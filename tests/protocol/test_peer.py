from gateway.protocol.peer import ClientInfo, Peer, describe


def peer(id: str) -> Peer:
    return Peer(4, "operator", (), ClientInfo(id, "1.0", "linux", "cli"), user="u" * 100)


def test_a_log_line_cannot_be_forged() -> None:
    assert "\n" not in describe(peer("x\n2026 admin"))


def test_a_log_line_is_short() -> None:
    assert describe(peer("x" * 200)) == '"' + "x" * 80 + " of " + "u" * 40 + '"'

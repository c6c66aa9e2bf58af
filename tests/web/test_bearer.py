import pytest

from gateway.lockout import LOCKED_S, MAX_FAILURES, Lockout
from gateway.web.bearer import refuse
from tests.core_fake import FakeCore


def ask(core: FakeCore, lockout: Lockout, secret: str, ip: str = "203.0.113.9") -> tuple[int, str | None]:
    headers = [(b"host", b"h")] + ([(b"authorization", b"Bearer " + secret.encode())] if secret else [])
    response = refuse(core, lockout, {"type": "http", "client": (ip, 1), "headers": headers})
    return (0, None) if response is None else (response.status_code, response.headers.get("retry-after"))


def test_guesses_of_the_bearer_lock_their_address_and_no_other() -> None:
    core, lockout = FakeCore(), Lockout(lambda: 0.0)
    for _ in range(MAX_FAILURES):
        assert ask(core, lockout, "no") == (401, None)
    assert ask(core, lockout, "t0k") == (429, f"{LOCKED_S:.0f}")
    assert ask(core, lockout, "") == (401, None)
    assert ask(core, lockout, "t0k", "203.0.113.10") == (0, None)


@pytest.mark.parametrize(("secret", "ip"), [("", "203.0.113.9"), ("no", "127.0.0.1")])
def test_what_is_no_guess_of_a_stranger_is_not_counted(secret: str, ip: str) -> None:
    core, lockout = FakeCore(), Lockout(lambda: 0.0)
    for _ in range(MAX_FAILURES + 1):
        assert ask(core, lockout, secret, ip) == (401, None)
    assert ask(core, lockout, "t0k", ip) == (0, None)

import pytest

from gateway.config.schema import Auth, AuthMode, Config, Gateway


@pytest.mark.parametrize(
    ("auth", "mode"),
    [
        (Auth(), "token"),
        (Auth(token="t"), "token"),
        (Auth(password="p"), "password"),
        (Auth(token="t", password="p"), "token"),
        (Auth(mode="none", password="p"), "none"),
        (Auth(mode="token", password="p"), "token"),
    ],
)
def test_auth_mode_follows_from_what_is_set(auth: Auth, mode: AuthMode) -> None:
    assert auth.effective_mode == mode


def test_a_config_in_a_log_line_hides_its_secrets() -> None:
    text = repr(Config(gateway=Gateway(auth=Auth(token="t0p", password="p4ss"))))
    assert "t0p" not in text and "p4ss" not in text
    assert "Auth(mode=None, token=<set>, password=<set>)" in text
    assert repr(Auth()) == "Auth(mode=None, token=None, password=None)"

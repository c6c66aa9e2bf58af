from gateway.agent.turn.failed import MAX_SAID, MIN_SECRET, Secrets, quote
from gateway.link.spec import Model, Server
from tests.agent.peer import spec


def test_keys_and_the_values_of_headers_and_environments_are_hidden() -> None:
    model = Model("p", "m", "openai-completions", api_key="sk-one-one", headers={"X-Key": "two-two-two"})
    servers = [
        Server("s", command="x", env={"TOKEN": "three-three"}),
        Server("h", url="http://h/mcp?key=five-five", headers={"Authorization": "Bearer four-four"}),
    ]
    secrets = Secrets(spec("x", model, servers=servers))
    said = "sk-one-one two-two-two three-three Bearer four-four / four-four at http://h/mcp?key=five-five"
    assert secrets.hide(said) == "*** *** *** *** / *** at http://h/mcp?***"


def test_values_that_are_too_short_to_be_secrets_leave_a_message_readable() -> None:
    model = Model("p", "m", "openai-completions", api_key="x" * (MIN_SECRET - 1))
    assert Secrets(spec("x", model)).hide("xxxxx xxxxx") == "xxxxx xxxxx"


def test_a_secret_within_another_does_not_leave_its_rest() -> None:
    model = Model("p", "m", "openai-completions", api_key="abcdef", headers={"A": "abcdefghij"})
    assert Secrets(spec("x", model)).hide("abcdefghij") == "***"


def test_what_others_say_is_quoted_on_one_line_up_to_a_bound() -> None:
    assert quote("a\n  b\tc") == "a b c"
    assert quote("x" * MAX_SAID) == "x" * MAX_SAID
    assert quote("x" * (MAX_SAID + 1)) == "x" * (MAX_SAID - 1) + "…"


def test_an_address_that_is_none_hides_nothing_and_breaks_nothing() -> None:
    assert Secrets(spec("x", servers=[Server("h", url="http://[::1")])).hide("x") == "x"

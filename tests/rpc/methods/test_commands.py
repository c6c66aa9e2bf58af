from gateway.conversations.slash import COMMANDS
from gateway.protocol.scopes import READ
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

NEW = make_peer(4, READ)


def test_every_command_is_listed() -> None:
    rows = call(configured(), NEW, "commands.list")["payload"]["commands"]
    assert [row["name"] for row in rows] == list(COMMANDS)
    new = next(row for row in rows if row["name"] == "new")
    assert new == {
        "name": "new",
        "nativeName": "new",
        "textAliases": ["/new", "/reset"],
        "description": COMMANDS["new"],
        "category": "session",
        "source": "native",
        "scope": "both",
        "acceptsArgs": False,
    }


def test_arguments_on_request() -> None:
    def think(params: dict[str, object]) -> dict[str, object]:
        rows = call(configured(), NEW, "commands.list", params)["payload"]["commands"]
        return next(row for row in rows if row["name"] == "think")

    (argument,) = think({"agentId": "main", "scope": "text", "provider": "x"})["args"]  # type: ignore[misc]
    assert argument["choices"][0] == {"value": "off", "label": "off"}  # type: ignore[index]
    assert think({"includeArgs": False})["acceptsArgs"] is True and "args" not in think({"includeArgs": False})


def test_a_wrong_scope_is_named() -> None:
    error = call(configured(), NEW, "commands.list", {"scope": "bogus"})["error"]
    assert error["message"].startswith("invalid commands.list params: at /scope")

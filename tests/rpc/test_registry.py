from pathlib import Path

import pytest

from gateway.protocol.params import NoParams
from gateway.protocol.scopes import READ
from gateway.rpc import methods
from gateway.rpc.methods import METHODS
from gateway.rpc.registry import Call, Registry, method


@method("old", NoParams, str, scope=READ)
def old(call: Call, params: NoParams) -> str:
    """An old one."""
    return "old"


@method("new", NoParams, str, scope=None, since=4)
async def new(call: Call, params: NoParams) -> str:
    """A new one."""
    return "new"


def test_a_declaration_says_all() -> None:
    assert (old.name, old.params, old.result, old.scope, old.since) == ("old", NoParams, str, READ, 3)
    assert (old.asynchronous, new.asynchronous, old.doc) == (False, True, "An old one.")


def test_a_method_is_known_from_its_version_on() -> None:
    registry = Registry([old, new])
    assert registry.names(3) == ["old"]
    assert registry.names(4) == ["new", "old"], "by name"
    assert registry.find("new", 3) is None
    assert registry.find("new", 4) is new
    assert registry.find("other", 4) is None


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="old is registered twice"):
        Registry([old, old])


@pytest.mark.parametrize("each", METHODS, ids=lambda each: each.name)
def test_every_method_is_documented_and_closed(each: object) -> None:
    assert hasattr(each, "doc") and each.doc
    assert hasattr(each, "params") and each.params.__struct_config__.forbid_unknown_fields


def test_protocol_3_has_what_its_last_releases_had() -> None:
    """The methods of 2026.2.26 whose feature this gateway has."""
    old = Registry(METHODS).names(3)
    names = ["agents.create", "agents.update", "agents.delete", "agents.files.list", "agents.files.get"]
    names += ["agents.files.set", "device.pair.remove", "doctor.memory.status", "sessions.usage"]
    assert [name for name in names if name not in old] == []


def test_the_list_is_what_hello_shows() -> None:
    known = Registry(METHODS)
    old, new = known.names(3), known.names(4)
    assert [name for name in new if name in old] == old
    assert {"health", "chat.history"} <= set(old) and "gateway.restart.request" not in old
    assert {"chat.startup", "gateway.restart.request"} <= set(new)


def test_no_method_is_forgotten() -> None:
    """A module that declares methods is named in the list of modules."""
    found = {path.stem for path in Path(methods.__file__).parent.glob("*.py") if "\n@method(" in path.read_text()}
    assert found == {module.__name__.rpartition(".")[2] for module in methods.MODULES}

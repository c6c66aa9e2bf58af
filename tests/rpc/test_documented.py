"""Each method is documented, named by a test, and shown in docs/methods.md as it is."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.methods import METHODS
from gateway.rpc.registry import Call, Method, method
from scripts.methods_doc import PAGE, render

TESTS = [path for path in Path(__file__).parent.rglob("test_*.py") if path != Path(__file__)]
NAMED = "\n".join(path.read_text() for path in TESTS)


@pytest.mark.parametrize("each", METHODS, ids=lambda each: each.name)
def test_a_method_says_what_it_does(each: Method) -> None:
    assert each.doc.endswith(".") or each.doc.endswith("`"), f"{each.name} has no docstring"


@pytest.mark.parametrize("each", METHODS, ids=lambda each: each.name)
def test_a_method_is_tested(each: Method) -> None:
    assert f'"{each.name}"' in NAMED, f"no test under tests/rpc calls {each.name}"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == render(), "run: .venv/bin/python -m scripts.methods_doc"


class Row(Struct, rename="camel"):
    some_name: str | None
    rest: dict[str, int]


class Given(Params, frozen=True):
    how: Literal["a", "b"]
    how_many: Annotated[int, Meta(ge=1, le=9)] | None = None
    keys: list[str | int] = []


class Done(Struct, rename="camel"):
    rows: list[Row]
    pair: tuple[float, bool]
    later: Any | UnsetType = UNSET


@method("do.it", Given, Done, scope=READ, since=4)
def do_it(call: Call, params: Given) -> Done:
    """Do it."""
    raise AssertionError("only its types are looked at")


@method("do", Params, list[dict[str, Any]], scope=None)
def do(call: Call, params: Params) -> list[dict[str, Any]]:
    """Do."""
    return []


def test_how_a_method_is_shown() -> None:
    page = render((do_it, do))
    table = page.index("| [do](#do) | any | 3 |"), page.index("| [do.it](#doit) | `operator.read` | 4 |")
    assert table[0] < table[1], "by name"
    assert page.endswith(
        """
## do

Do.

Scope any, since protocol 3.

- Params: none
- Result: `object[]`

## do.it

Do it.

Scope `operator.read`, since protocol 4.

- Params: `how: "a" | "b"`, `howMany?: integer (≥ 1, ≤ 9) | null`, `keys?: (string | integer)[]`
- Result: `rows: {someName: string | null, rest: {[key]: integer}}[]`, `pair: [number, boolean]`, `later?: any`
"""
    )

"""Write docs/methods.md from the list of methods; with --check, only say whether it is up to date.

Run it as `.venv/bin/python -m scripts.methods_doc` in the project's folder.
"""

import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, UnsetType

from gateway.rpc.budget import LIMIT, WINDOW_S
from gateway.rpc.methods import METHODS
from gateway.rpc.registry import Method

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
HEAD = """\
# Methods

What clients may call over the WebSocket, beside `connect`, which comes first. Written by `scripts/methods_doc.py`
from the methods themselves: do not edit it, run `python -m scripts.methods_doc`.

A `?` after a name means that it may be left out. *Since* is the first protocol that has the method: 3 is spoken by
OpenClaw 2026.2, 4 by 2026.9. `operator.admin` may call everything, `operator.write` also what needs `operator.read`.

| method | scope | since |
|---|---|---|
"""
_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null", Any: "any"}


def render(methods: tuple[Method, ...] = METHODS) -> str:
    ordered = sorted(methods, key=lambda each: each.name)
    rows = [f"| [{each.name}](#{_anchor(each)}) | {_scope(each)} | {each.since} |\n" for each in ordered]
    return HEAD + "".join(rows) + "".join(_section(each) for each in ordered)


def _anchor(each: Method) -> str:
    return each.name.lower().replace(".", "")


def _scope(each: Method) -> str:
    other = f" (`{each.old_scope}` in protocol 3)" if each.old_scope != each.scope else ""
    return f"`{each.scope}`{other}" if each.scope else "any"


def _section(each: Method) -> str:
    params = _fields(each.params) or "none"
    often = f" At most {LIMIT} calls in {WINDOW_S:g} s from one client." if each.budgeted else ""
    lines = [f"\n## {each.name}\n", f"{each.doc}\n", f"Scope {_scope(each)}, since protocol {each.since}.{often}\n"]
    lines += [f"- Params: {params}", f"- Result: {_result(each.result)}\n"]
    return "\n".join(lines)


def _result(shape: Any) -> str:
    return _fields(shape) or "`{}`" if _is_struct(shape) else f"`{_type(shape)}`"


def _fields(shape: type[Any]) -> str:
    hints = get_type_hints(shape, include_extras=True)
    return ", ".join(
        f"`{each.encode_name}{'' if each.required else '?'}: {_type(hints[each.name])}`"
        for each in msgspec.structs.fields(shape)
    )


def _type(shape: Any) -> str:
    """The type in TypeScript's words; bounds follow in parentheses."""
    origin, args = get_origin(shape), get_args(shape)
    if origin is Annotated:
        return _type(args[0]) + "".join(_bounds(each) for each in args[1:] if isinstance(each, Meta))
    if origin in (Union, UnionType):
        return " | ".join(_type(each) for each in args if each is not UnsetType)
    if origin is Literal:
        return " | ".join(f'"{each}"' for each in args)
    if origin is list or (origin is tuple and args[-1] is Ellipsis):
        inner = _type(args[0])
        return f"({inner})[]" if " " in inner and not inner.startswith("{") else f"{inner}[]"
    if origin is tuple:
        return f"[{', '.join(map(_type, args))}]"
    if origin is dict:
        return "object" if args[1] is Any else f"{{[key]: {_type(args[1])}}}"
    if _is_struct(shape):
        hints = get_type_hints(shape, include_extras=True)
        inside = (f"{each.encode_name}: {_type(hints[each.name])}" for each in msgspec.structs.fields(shape))
        return f"{{{', '.join(inside)}}}"
    return str(_SCALARS.get(shape) or getattr(shape, "__name__", shape))


def _bounds(meta: Meta) -> str:
    size = {"≥": meta.ge, ">": meta.gt, "≤": meta.le, "<": meta.lt}
    length = {"length ≥": meta.min_length, "length ≤": meta.max_length}
    found = [f"{sign} {value}" for sign, value in {**size, **length}.items() if value is not None]
    return f" ({', '.join(found)})" if found else ""


def _is_struct(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, msgspec.Struct)


def main() -> int:
    text = render()
    if "--check" in sys.argv:
        return int(not PAGE.exists() or PAGE.read_text() != text)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

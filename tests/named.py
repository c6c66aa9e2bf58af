"""What a page may name of the product: modules by their path below `gateway/`, and in them names, all read and none
imported."""

import ast
from collections.abc import Iterator
from functools import cache
from typing import TypeGuard

from scripts.rooms import modules

ROOMS = frozenset(name.split("/")[0] for name in modules() if "/" in name)


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


@cache
def names(module: str) -> frozenset[str]:
    """Functions, classes and variables of a module, and `Class.name` for what a class or its `self` has."""
    return frozenset(_names(tree(module).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        match node:
            case ast.ClassDef(name=name):
                yield prefix + name
                yield from _names(node.body, f"{prefix}{name}.")
                yield from (f"{prefix}{name}.{attribute}" for attribute in _of_self(node))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield prefix + name
            case ast.If() | ast.Try():
                yield from _names(node.body, prefix)
            case ast.Assign() | ast.AnnAssign():
                yield from (prefix + each.id for each in ast.walk(node) if _is_stored(each))


def _is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _of_self(node: ast.ClassDef) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store) and ast.unparse(each.value) == "self":
            yield each.attr


@cache
def called(module: str) -> tuple[tuple[str, str], ...]:
    """(last word of what is called, name that the result is given: `Class.attribute`, a variable, or "")."""
    return tuple(_called(tree(module), ""))


def _called(node: ast.AST, within: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.ClassDef):
        within = f"{within}{node.name}."
    given = None
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
        given = node.value
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        yield _last_word(given.func), within + ast.unparse(target).removeprefix("self.")
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and child is not given:
            yield _last_word(child.func), ""
        yield from _called(child, within)


def _last_word(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""

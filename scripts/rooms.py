"""Prints the import plan of gateway/: its rooms (folders), who imports whom, and circles.

`python -m scripts.rooms [--arrows]`. Imports that only a type checker sees do not count; those inside functions do.
"""

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "gateway"
Arrows = Mapping[str, frozenset[str]]


@cache
def modules() -> dict[str, Path]:
    """Each module by its path without the package and `.py`; a package by its folder."""
    found = {str(path.relative_to(PACKAGE).with_suffix("")): path for path in sorted(PACKAGE.rglob("*.py"))}
    return {name.removesuffix("/__init__"): path for name, path in found.items()}


def imported(node: ast.AST) -> Iterator[str]:
    """Dotted names of what runs imports, inside functions too; imports that only a type checker sees are left out."""
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        children = iter(node.orelse)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in children:
        yield from imported(child)


def module_of(dotted: str) -> str | None:
    """The module of ours that a dotted name belongs to; None for other people's."""
    parts = dotted.split(".")
    inner = parts[1:] if parts[0] == "gateway" else []
    return next((name for end in range(len(inner), 0, -1) if (name := "/".join(inner[:end])) in modules()), None)


@cache
def files() -> Arrows:
    """Each module, and those that it imports."""
    plan = {}
    for name, path in modules().items():
        found = {module_of(dotted) for dotted in imported(ast.parse(path.read_text()))}
        plan[name] = frozenset(each for each in found if each and each != name)
    return plan


def room(module: str) -> str:
    """A module's folder, "." for the words in gateway/ itself. What starts everything stands alone."""
    if module in ("__main__", "runtime") or modules()[module].name == "__init__.py":
        return module
    return module.rpartition("/")[0] or "."


def rooms() -> Arrows:
    plan: dict[str, set[str]] = defaultdict(set)
    for name, others in files().items():
        plan[room(name)] |= {room(other) for other in others} - {room(name)}
    return {name: frozenset(others) for name, others in plan.items()}


def circles(plan: Arrows) -> list[list[str]]:
    """Groups of which each reaches each other (Tarjan's strongly connected components), without those of one."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(plan.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(plan):
        if name not in index:
            visit(name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arrows", action="store_true", help="each file with those of other rooms that it imports")
    options = parser.parse_args()
    plan = rooms()
    for name in sorted(plan):
        inside = [path for module, path in modules().items() if room(module) == name and path.read_text().strip()]
        lines = sum(len(path.read_text().splitlines()) for path in inside)
        print(f"{name:24} {len(inside):3} files {lines:6} lines → {' '.join(sorted(plan[name])) or '-'}")
        if options.arrows:
            for module in (each for each in files() if room(each) == name):
                print(f"    {module}: {' '.join(sorted(o for o in files()[module] if room(o) != name)) or '-'}")
    print(f"{len(plan)} rooms, {sum(map(len, plan.values()))} arrows")
    print(f"circles of rooms: {'; '.join(' → '.join(group) for group in circles(plan)) or 'none'}")
    print(f"circles of files: {'; '.join(' → '.join(group) for group in circles(files())) or 'none'}")


if __name__ == "__main__":
    main()

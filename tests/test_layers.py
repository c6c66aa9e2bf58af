"""Holds the layers of docs/architecture.md (a module imports its own layer or below) and each third party's home."""

import ast
import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from scripts.rooms import circles, files, imported, module_of, modules, rooms

PROJECT = Path(__file__).parents[1]
PURE = 1
"""The layer that computes and touches nothing."""
MAX_LINES = 300
MAX_FUNCTION_LINES = 60
APART = -1
"""The other process's: no layer, because neither side imports the other."""
SHARED_WITH_APART = [
    *(
        "__init__",
        "errors",
        "exits",
        "machine/clock",
        "machine/inherited",
        "files/installed",
        "text/unicode",
        "text/visible",
        "text/lines",
    ),
    *(
        "link/messages",
        "link/spec",
        "logs/formatting",
        "aio/tasks",
        "systemd/journal",
        "systemd/listen_fds",
        "systemd/notify",
    ),
]
IMPURE = {"asyncio", "os", "time", "socket", "subprocess", "signal", "threading", "shutil", "tempfile"}
HOMES = {
    "anthropic": ["agent/*"],
    "anyio": ["agent/*"],
    "click": ["cli", "cli/*", "doctor/*", "terminal/*", "__main__"],
    "cryptography": ["protocol/admission/proof"],
    "fastmcp": ["agent/*"],
    "google": ["agent/*"],
    "httpx": ["agent/*"],
    "httpx2": ["agent/*"],
    "mcp": ["agent/*"],
    "mcp_types": ["agent/*"],
    "nacl": ["protocol/admission/proof"],
    "openai": ["agent/*"],
    "prompt_toolkit": ["cli/*"],
    "pydantic_ai": ["agent/*"],
    "rich": ["cli/*", "terminal/*"],
    "sqlite3": ["sessions/*"],
    "starlette": ["web/*"],
    "systemd": ["systemd/descriptors", "logs/handlers"],
    "uvicorn": ["serving", "serving/*"],
    "uvloop": ["serving/*", "process/start"],
    "watchdog": ["config/watch"],
}


def read_table() -> list[tuple[str, int]]:
    """(pattern, layer) from the fenced table under "Layers", braces expanded; text in parentheses is a remark."""
    text = (PROJECT / "docs" / "architecture.md").read_text()
    block = text.split("## Layers", 1)[1].split("```")[1]
    rows = [re.sub(r"\([^)]*\)", "", line).split() for line in block.strip().splitlines()]
    numbers = {"apart": APART} | {str(number): number for number in range(10)}
    # The second word of a numbered row is the layer's name.
    words = [(numbers[row[0]], row[1:] if row[0] == "apart" else row[2:]) for row in rows]
    return [(pattern, layer) for layer, patterns in words for word in patterns for pattern in expand(word)]


def expand(word: str) -> list[str]:
    match = re.fullmatch(r"(.*)\{(.*)\}(.*)", word)
    return [match[1] + part + match[3] for part in match[2].split(",")] if match else [word]


TABLE = read_table()
MODULES = modules()
WITH_CODE = sorted(name for name, path in MODULES.items() if path.read_text().strip())


@cache
def layer_of(module: str) -> int | None:
    """An exact name wins over a pattern; a package is in the layer of what it holds."""
    exact = [layer for pattern, layer in TABLE if pattern == module]
    matching = [layer for pattern, layer in TABLE if fnmatch(module, pattern) or pattern == f"{module}/*"]
    return min([*exact, *matching], default=None) if not exact else exact[0]


@cache
def imports(module: str) -> frozenset[str]:
    return frozenset(imported(ast.parse(MODULES[module].read_text())))


def test_modules_import_their_own_layer_or_below() -> None:
    assert {module: wrong for module in WITH_CODE if (wrong := out_of_layer(module))} == {}


def out_of_layer(module: str) -> str | None:
    layer = layer_of(module)
    if layer is None:
        return "has no layer: name it in docs/architecture.md"
    ours = {module_of(name) or "__init__" for name in imports(module) if name.split(".")[0] == "gateway"} - {module}
    others = {name for name in ours if layer_of(name) == APART}
    if layer == APART:
        beside = ours - others - set(SHARED_WITH_APART)
        return f"is the other process's and imports {sorted(beside)}" if beside else None
    if others:
        return f"imports from the other process: {sorted(others)}"
    above = {name: layer_of(name) for name in ours if (layer_of(name) or 0) > layer}
    return f"is in layer {layer} and imports from above: {above}" if above else None


def test_nothing_imports_what_imports_it() -> None:
    """Neither a file nor a folder, not even through others."""
    assert circles(files()) == []
    assert circles(rooms()) == []


def test_files_and_functions_fit_on_a_page() -> None:
    """The longest of each that one can still see through."""
    sources = {name: path.read_text() for name, path in MODULES.items()}
    assert {name: lines for name, text in sources.items() if (lines := len(text.splitlines())) > MAX_LINES} == {}
    functions = {
        f"{name}:{node.name}": lines
        for name, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert functions == {}


def test_third_parties_stay_at_home() -> None:
    """Each module with those that it imports outside their homes, which are in HOMES."""
    strangers = {module: HOMES.keys() & {name.split(".")[0] for name in imports(module)} for module in WITH_CODE}
    astray = {
        module: {root for root in roots if not any(fnmatch(module, home) for home in HOMES[root])}
        for module, roots in strangers.items()
    }
    assert {module: roots for module, roots in astray.items() if roots} == {}


def test_pure_modules_touch_nothing() -> None:
    pure = [name for name in WITH_CODE if layer_of(name) == PURE]
    touched = {module: IMPURE & {name.split(".")[0] for name in imports(module)} for module in pure}
    assert {module: roots for module, roots in touched.items() if roots} == {}


def test_table_names_only_modules_that_exist() -> None:
    stale = [pattern for pattern, _ in TABLE if not any(fnmatch(name, pattern) for name in MODULES)]
    assert not stale, f"docs/architecture.md names what is not there: {stale}"


def test_type_checking_imports_do_not_count() -> None:
    source = "if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    from c import d\n"
    assert list(imported(ast.parse(source))) == ["b", "c.d"]

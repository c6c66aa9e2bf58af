"""Print the test files of a file of the product: `python scripts/tests_of.py gateway/runs/owner.py`.

`gateway/runs/owner.py` is tested by `tests/runs/test_owner.py`. Where a file has no test of its own name, the tests of
its folder that import it are printed, and where there are none, all tests that do.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def tests_of(file: Path) -> list[Path]:
    """Paths below the project. A test file, or a folder of tests, is its own test. Raise ValueError for other files."""
    file = (PROJECT / file).resolve()
    if not file.exists() or not file.is_relative_to(PROJECT):
        raise ValueError(f"{file} is no file of this project")
    place = file.relative_to(PROJECT)
    if place.parts[0] == "tests":
        return [place]
    script = Path("tests/scripts", f"test_{place.stem}.py")
    if place.parts[0] == "scripts" and (PROJECT / script).exists():
        return [script]
    if place.parts[0] != "gateway" or file.is_dir():
        raise ValueError(f"{place} is neither a file below gateway/ nor a test")
    folder = Path("tests", *place.parts[1:-1])
    mirror = folder / f"test_{place.stem}.py"
    if (PROJECT / mirror).exists():
        return [mirror]
    module = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
    importing = list(_importing(module))
    return [path for path in importing if folder in path.parents] or importing


def _importing(module: str) -> Iterator[Path]:
    package, _, name = module.rpartition(".")
    whole, part = re.escape(module), rf"from {re.escape(package)} import .*\b{name}\b"
    pattern = re.compile(rf"^\s*(?:import {whole}\b|from {whole} import |{part})", re.MULTILINE)
    for path in sorted((PROJECT / "tests").rglob("test_*.py")):
        if pattern.search(path.read_text()):
            yield path.relative_to(PROJECT)


def main() -> int:
    """Print one path a line; 2 and a message when there is none."""
    if len(sys.argv) != 2:
        print("usage: make test-of FILE=gateway/runs/owner.py", file=sys.stderr)
        return 2
    try:
        found = tests_of(Path(sys.argv[1]))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if not found:
        print(f"no test imports {sys.argv[1]}", file=sys.stderr)
        return 2
    print(*found, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

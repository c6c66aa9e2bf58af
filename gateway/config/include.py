"""`$include`: merge several files into one value, and record the file of each part. Pure: the caller reads files."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gateway.config.parse import MAX_DEPTH, Document, Path, TextPosition, dotted, issue
from gateway.report import Issue

KEY = "$include"
MAX_INCLUDE_DEPTH = 10
MAX_FILES = 64
"""Files read for one config; a file counts each time that it is included."""

Reader = Callable[[str, str], Document | Issue]
"""(name in `$include`, including file) -> the document, or why it cannot be read."""
Layer = tuple[Path, Path, Document]
"""Path in the tree, path in the document, the document."""


class Merged(Struct, frozen=True):
    """The value after includes and before `${VAR}`."""

    tree: Any
    issues: tuple[Issue, ...]
    layers: tuple[Layer, ...]
    """The document that wins is first."""

    def locate(self, path: Path, *, key: bool = False) -> TextPosition:
        """The position of the value at `path`, or of its key, in its file."""
        for length in range(len(path), -1, -1):
            for mount, inside, document in self.layers:
                target = inside + path[len(mount) : length]
                if path[: len(mount)] == mount and length >= len(mount) and document.has(target):
                    return document.locate(target, key=key)
        return TextPosition(self.layers[0][2].file)


def merge(under: Any, over: Any) -> Any:
    """Objects merge, arrays concatenate; otherwise `over` wins."""
    if isinstance(under, dict) and isinstance(over, dict):
        merged = dict(under)
        for key, value in over.items():
            merged[key] = merge(under[key], value) if key in under else value
        return merged
    if isinstance(under, list) and isinstance(over, list):
        return [*under, *over]
    return over


def resolve(main: Document, read: Reader) -> Merged:
    """Merge all included files. Never raises; with issues, the tree lacks the parts that could not be read."""
    resolver = _Resolver(read)
    tree = resolver.document(main, (), (main.file,))
    return Merged(tree, tuple(resolver.issues), tuple(resolver.layers))


class _Resolver(Struct):
    read: Reader
    issues: list[Issue] = []
    layers: list[Layer] = []
    files: int = 1

    def document(self, document: Document, mount: Path, chain: tuple[str, ...]) -> Any:
        self.layers.append((mount, (), document))
        return self.value(document.value, document, (), mount, chain)

    def value(self, value: Any, document: Document, inside: Path, mount: Path, chain: tuple[str, ...]) -> Any:
        if len(mount) > MAX_DEPTH:
            return self.fail(document, inside, f"nested deeper than {MAX_DEPTH} levels, includes counted")
        if isinstance(value, list):
            return [self.value(v, document, (*inside, i), (*mount, i), chain) for i, v in enumerate(value)]
        if not isinstance(value, dict):
            return value
        own = {
            key: self.value(child, document, (*inside, key), (*mount, key), chain)
            for key, child in value.items()
            if key != KEY
        }
        if KEY not in value:
            return own
        return self.include(value[KEY], own, document, inside, mount, chain)

    def include(
        self, names: Any, own: dict[str, Any], document: Document, inside: Path, mount: Path, chain: tuple[str, ...]
    ) -> Any:
        at = (*inside, KEY)
        listed = names if isinstance(names, list) else [names]
        if not listed or not all(isinstance(name, str) and name for name in listed):
            return self.fail(document, at, "$include takes a file name or an array of file names", own)
        before = len(self.layers)
        parts, positions = [], []
        for name in listed:
            parts.append(self.load(name, document, at, mount, chain))
            positions.append(self.layers[before:])
            del self.layers[before:]
        # The last file wins over the first.
        self.layers += [layer for layers in reversed(positions) for layer in layers]
        merged = parts[0]
        for part in parts[1:]:
            merged = merge(merged, part)
        if own and not isinstance(merged, dict):
            return self.fail(document, at, "keys beside $include need an included object", own)
        return merge(merged, own) if own else merged

    def load(self, name: str, document: Document, at: Path, mount: Path, chain: tuple[str, ...]) -> Any:
        self.files += 1
        if len(chain) > MAX_INCLUDE_DEPTH:
            return self.fail(document, at, f"includes nested deeper than {MAX_INCLUDE_DEPTH}: {' → '.join(chain)}", {})
        if self.files > MAX_FILES:
            if self.files == MAX_FILES + 1:
                self.fail(document, at, f"more than {MAX_FILES} files in one config")
            return {}
        found = self.read(name, document.file)
        if isinstance(found, Issue):
            # A file that cannot be opened has no line, so the issue gets the line of the `$include`.
            where = issue(document.locate(at), found.message, dotted((*mount, KEY)), hint=found.hint)
            self.issues.append(found if found.line else where)
            return {}
        if found.file in chain:
            return self.fail(document, at, f"$include goes in a circle: {' → '.join((*chain, found.file))}", {})
        return self.document(found, mount, (*chain, found.file))

    def fail(self, document: Document, inside: Path, message: str, instead: Any = None) -> Any:
        self.issues.append(issue(document.locate(inside), message))
        return instead

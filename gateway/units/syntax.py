"""The part of systemd's unit file syntax that `install` and `doctor` need. Pure. systemd.syntax(7) is the reference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "s": " "}


@dataclass(frozen=True)
class Setting:
    """A line `key=value`."""

    section: str
    key: str
    value: str


def parse(text: str) -> list[Setting]:
    """The settings in their order, without comments, and with continued lines joined by a space."""
    settings: list[Setting] = []
    section = ""
    for line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            settings.append(Setting(section, key.strip(), value.strip()))
    return settings


def _logical_lines(text: str) -> Iterable[str]:
    pending = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue  # also in the middle of a continued line
        if line.endswith("\\"):
            pending += line[:-1].rstrip() + " "
            continue
        if pending or line:
            yield (pending + line).strip()
        pending = ""
    if pending:
        yield pending.strip()


def merged(texts: Iterable[str], section: str, key: str) -> list[str]:
    """The values of a list setting in a unit and its drop-ins. An empty value clears those before it."""
    values: list[str] = []
    for text in texts:
        for setting in parse(text):
            if (setting.section, setting.key) != (section, key):
                continue
            if setting.value:
                values.append(setting.value)
            else:
                values.clear()
    return values


def split(value: str) -> list[str]:
    """The words of a value. White space separates them, quotes keep it, and a backslash escapes one character."""
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    characters = iter(value)
    for char in characters:
        if char == "\\":
            following = next(characters, "")
            word = (word or []) + [_ESCAPES.get(following, following)]
        elif quote:
            if char == quote:
                quote = ""
            else:
                word = (word or []) + [char]
        elif char in "\"'":
            quote, word = char, word or []
        elif char.isspace():
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = (word or []) + [char]
    if word is not None:
        words.append("".join(word))
    return words


def environment(text: str) -> dict[str, str]:
    """All `Environment=` assignments of a service. `%%` becomes `%`; other specifiers are not resolved."""
    found: dict[str, str] = {}
    for value in merged([text], "Service", "Environment"):
        for word in split(value):
            name, equals, content = word.partition("=")
            if equals:
                found[name] = content.replace("%%", "%")
    return found


def quote(word: str) -> str:
    """A word for any setting, quoted if it needs to be, and without specifiers."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    plain = text == word.replace("%", "%%") and word and not any(c.isspace() or c in "'#;" for c in word)
    return text if plain else f'"{text}"'


def command(words: Iterable[str]) -> str:
    """A command line for `Exec*=`, where `$` would begin an environment variable, except in the program's path.

    systemd does not accept quotes, backslashes and control characters in that path, so a shell starts such a program.
    """
    program, *rest = words
    if any(char in "\"'\\\x7f" or char < " " for char in program):
        program, *rest = "/bin/sh", "-c", 'exec "$0" "$@"', program, *rest
    program, *rest = map(quote, (program, *rest))
    return " ".join([program, *(word.replace("$", "$$") for word in rest)])


def assignments(values: Mapping[str, str]) -> list[str]:
    """One `Environment=` line for each variable, sorted by name."""
    return [f"Environment={quote(f'{name}={value}')}" for name, value in sorted(values.items())]

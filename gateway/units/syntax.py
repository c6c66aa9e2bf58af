"""systemd's unit file syntax, as much as `install` and `doctor` need: reading settings, quoting what we write.

Pure: text in, values out. `man systemd.syntax` is the reference.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "s": " "}


@dataclass(frozen=True)
class Setting:
    section: str
    key: str
    value: str


def parse(text: str) -> list[Setting]:
    """The settings in their order; comments gone, continued lines joined by a space."""
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
    """A list setting over a unit and its drop-ins, in their order: an empty value clears what came before."""
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
    """Words of a value: separated by white space, single or double quotes keep it, backslash escapes one character."""
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
    """All `Environment=` assignments of a service, `%%` undone; other specifiers stay as they are."""
    found: dict[str, str] = {}
    for value in merged([text], "Service", "Environment"):
        for word in split(value):
            name, equals, content = word.partition("=")
            if equals:
                found[name] = content.replace("%%", "%")
    return found


def quote(word: str) -> str:
    """One word for any setting: specifiers taken literally, quoted when it needs to be."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    plain = text == word.replace("%", "%%") and word and not any(c.isspace() or c in "'#;" for c in word)
    return text if plain else f'"{text}"'


def command(words: Iterable[str]) -> str:
    """A command line for `Exec*=`, where `$` would be an environment variable, except in the program's own path.

    systemd takes no quotes, backslashes and control characters there, however they are written: a shell starts it.
    """
    program, *rest = words
    if any(char in "\"'\\\x7f" or char < " " for char in program):
        program, *rest = "/bin/sh", "-c", 'exec "$0" "$@"', program, *rest
    program, *rest = map(quote, (program, *rest))
    return " ".join([program, *(word.replace("$", "$$") for word in rest)])


def assignments(values: Mapping[str, str]) -> list[str]:
    """`Environment=` lines, one for each variable, in a fixed order."""
    return [f"Environment={quote(f'{name}={value}')}" for name, value in sorted(values.items())]

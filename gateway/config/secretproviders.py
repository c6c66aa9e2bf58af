"""`secrets.providers`: the sources of secret references, and the formats of their files and programs. Pure.

The section is not in `schema`, so nothing has validated it: `SecretRefused` is raised when a reference needs it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

MAX_TIMEOUT_MS = 20_000
"""OpenClaw allows 120 s. A start waits for its secrets, and systemd ends a start that takes too long."""
TIMEOUT_MS = 5_000
"""The default."""
MAX_BYTES = 1024 * 1024
"""The default for a file or a program's output."""
LARGEST_BYTES = 20 * 1024 * 1024
"""The most that a config may allow."""
MAX_IDS = 512
"""Number of ids that one provider is asked for."""
_CODES = ("NOT_FOUND", "AMBIGUOUS_DUPLICATE_KEY")
"""Error codes of programs that are shown. Any other text of a program could be a secret."""


class SecretRefused(Exception):
    """A reference has no secret. `str()` says why and `way_out` what to do; neither contains a secret."""

    def __init__(self, problem: str, way_out: str) -> None:
        self.way_out = way_out
        super().__init__(problem)


class EnvProvider(Struct, frozen=True):
    allowlist: tuple[str, ...] | None = None
    """Names of variables that may be read; None: all."""


class FileProvider(Struct, frozen=True):
    path: str
    single: bool = False
    """Whether the whole file is the secret, instead of JSON."""
    max_bytes: int = MAX_BYTES


class ProgramProvider(Struct, frozen=True):
    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    pass_env: tuple[str, ...] = ()
    timeout_ms: int = TIMEOUT_MS
    silence_ms: int = TIMEOUT_MS
    """Milliseconds without output after which the program is ended."""
    max_bytes: int = MAX_BYTES
    json_only: bool = True
    trusted: tuple[str, ...] = ()
    """Folders that the command must be below; (): anywhere."""

    def __repr__(self) -> str:
        """Without `env`, which may hold secrets."""
        return f"ProgramProvider(command={self.command!r}, args={self.args!r})"


Definition = EnvProvider | FileProvider | ProgramProvider
Asked = Mapping[tuple[str, Definition], list[str]]
"""Provider's name and definition -> the ids that are asked for."""


class AskProviders(Protocol):
    def __call__(self, asked: Asked) -> Mapping[tuple[str, Definition], Mapping[str, Any] | SecretRefused]:
        """Returns provider -> id -> value. A `SecretRefused` stands for one id, or for the whole provider.

        Time and size are bounded, whatever the providers do.
        """


def definition(tree: Any, source: str, name: str) -> Definition:
    """The provider `name` of a reference with this `source`. Raises SecretRefused."""
    section = tree.get("secrets") if isinstance(tree, dict) else None
    section = section if isinstance(section, dict) else {}
    every, defaults = section.get("providers"), section.get("defaults")
    entry = every.get(name) if isinstance(every, dict) else None
    usual = defaults.get(source, "default") if isinstance(defaults, dict) else "default"
    key = f"secrets.providers.{name}"
    if source == "env" and name == usual and (not isinstance(entry, dict) or entry.get("source") != "env"):
        return EnvProvider()
    if not isinstance(entry, dict):
        raise SecretRefused(f'there is no provider "{name}"', f'add {key} with source "{source}"')
    if entry.get("source") != source:
        raise SecretRefused(f'the provider "{name}" has another source than "{source}"', f"make {key}.source the same")
    made = _Entry(key, entry)
    if source == "env":
        return _env(made)
    return _file(made) if source == "file" else _program(made)


class _Entry:
    def __init__(self, key: str, entry: Mapping[str, Any]) -> None:
        self.key, self.entry = key, entry

    def wrong(self, name: str, allowed: str) -> SecretRefused:
        return SecretRefused(f"{self.key}.{name} is not valid", f"it must be {allowed}")

    def text(self, name: str) -> str:
        value = self.entry.get(name)
        if not isinstance(value, str) or not value or "\0" in value:
            raise self.wrong(name, "a text")
        return value

    def place(self, name: str) -> str:
        return self._absolute(name, self.text(name))

    def places(self, name: str) -> tuple[str, ...]:
        return tuple(self._absolute(name, each) for each in self.texts(name))

    def _absolute(self, name: str, path: str) -> str:
        if not path.startswith(("/", "~/")):
            raise self.wrong(name, "an absolute path")
        return path

    def number(self, name: str, usual: int, largest: int) -> int:
        value = self.entry.get(name, usual)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(name, "a whole number above 0")
        return min(value, largest)

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.entry.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) and "\0" not in each for each in value):
            raise self.wrong(name, "a list of texts")
        return tuple(value)


def _env(entry: _Entry) -> EnvProvider:
    return EnvProvider(entry.texts("allowlist") if "allowlist" in entry.entry else None)


def _file(entry: _Entry) -> FileProvider:
    mode = entry.entry.get("mode", "json")
    if mode not in ("json", "singleValue"):
        raise entry.wrong("mode", '"json" or "singleValue"')
    return FileProvider(entry.place("path"), mode == "singleValue", entry.number("maxBytes", MAX_BYTES, LARGEST_BYTES))


def _program(entry: _Entry) -> ProgramProvider:
    if "pluginIntegration" in entry.entry:
        raise SecretRefused(
            f"{entry.key} is of a plugin, and there are none here", "set command and args of its program"
        )
    given = entry.entry.get("env", {})
    if not isinstance(given, dict) or not all(isinstance(each, str) and "\0" not in each for each in given.values()):
        raise entry.wrong("env", 'an object such as {"NAME": "value"}')
    timeout = entry.number("timeoutMs", TIMEOUT_MS, MAX_TIMEOUT_MS)
    json_only = entry.entry.get("jsonOnly", True)
    if not isinstance(json_only, bool):
        raise entry.wrong("jsonOnly", "true or false")
    return ProgramProvider(
        entry.place("command"),
        entry.texts("args"),
        tuple(given.items()),
        entry.texts("passEnv"),
        timeout,
        entry.number("noOutputTimeoutMs", timeout, timeout),
        entry.number("maxOutputBytes", MAX_BYTES, LARGEST_BYTES),
        json_only,
        entry.places("trustedDirs"),
    )


def from_file(source: FileProvider, data: bytes, ids: list[str]) -> dict[str, Any]:
    """id -> value, from a file's bytes. Raises SecretRefused."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SecretRefused(f"{source.path} is not UTF-8", "save it as UTF-8") from error
    if source.single:
        secret = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
        wrong = SecretRefused('a file with mode singleValue has one id, "value"', 'write id: "value"')
        return {id: secret if id == "value" else wrong for id in ids}
    tree = _json(text)
    if not isinstance(tree, dict):
        how = 'correct it, or set mode: "singleValue" if the file is the secret itself'
        raise SecretRefused(f"{source.path} is no JSON object", how)
    return {id: _pointed(tree, id) for id in ids}


def _pointed(tree: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901), None if there is none."""
    for token in pointer.split("/")[1:] if pointer.startswith("/") else [pointer]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(tree, dict):
            tree = tree.get(key)
        elif isinstance(tree, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", key) and int(key) < len(tree):
            tree = tree[int(key)]
        else:
            return None
    return tree


def request(name: str, ids: list[str]) -> bytes:
    """The text for a program's stdin."""
    return json.dumps({"protocolVersion": 1, "provider": name, "ids": ids}).encode()


def from_program(name: str, source: ProgramProvider, output: bytes, ids: list[str]) -> dict[str, Any]:
    """id -> value, from the output of a program that exited with 0. Raises SecretRefused."""
    way_out = 'it must print {"protocolVersion": 1, "values": {"id": "secret"}}'
    text = output.decode(errors="replace").strip()
    said = _json(text)
    if not source.json_only and len(ids) == 1 and text and (said is None or isinstance(said, str)):
        return {ids[0]: text if said is None else said}
    if not isinstance(said, dict) or said.get("protocolVersion") != 1 or not isinstance(said.get("values"), dict):
        raise SecretRefused(f'the program of "{name}" answers in another form', way_out)
    found: dict[str, Any] = dict(said["values"])
    errors = said.get("errors")
    for id, error in errors.items() if isinstance(errors, dict) else ():
        found[id] = SecretRefused(
            f'the program of "{name}" has no "{id}"{_code(error)}', "put it there, or correct the id"
        )
    return found


def _code(error: Any) -> str:
    code = error.get("code") if isinstance(error, dict) else None
    return f" ({code})" if code in _CODES else ""


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None

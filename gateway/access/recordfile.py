"""A JSON file of records by id, such as the two files of devices that OpenClaw 2026.2.1 keeps.

Keys that another program has put into a record stay there. A file that cannot be read is never overwritten.
"""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct, ValidationError

from gateway.files.atomic import replace_text
from gateway.protocol.admission.pairing import Device

log = logging.getLogger("gateway.access.devices")


R = TypeVar("R", bound=Struct)


class RecordFile(Generic[R]):
    """A file with one record for each id, read when it is first needed."""

    def __init__(self, path: Path, shape: type[R]) -> None:
        self.path = path
        self._shape = shape
        self._records: dict[str, R] | None = None
        self._raw: dict[str, dict[str, Any]] = {}
        """The records as the file has them, with unknown keys."""
        self._problem: OSError | None = None

    @property
    def records(self) -> dict[str, R]:
        """The records by id. Do not change the dict: set or save another one."""
        if self._records is None or self._problem:
            self._records = self._read()
        return self._records

    @records.setter
    def records(self, records: dict[str, R]) -> None:
        self._records = records

    def save(self, records: dict[str, R]) -> None:
        """Write the records to disk, then to memory. Raises OSError, and changes neither then."""
        problem, old = self._problem, self.records
        if problem := problem or self._problem:
            raise problem
        kept = {id: raw for id, raw in self._raw.items() if id not in old or id in records}
        new = {**kept, **{id: overlay(kept.get(id, {}), record) for id, record in records.items()}}
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_text(self.path, json.dumps(new, indent=2) + "\n")
        self._raw, self._records = new, records

    def _read(self) -> dict[str, R]:
        self._problem = None
        try:
            raw = msgspec.json.decode(self.path.read_bytes(), type=dict[str, dict[str, Any]])
        except FileNotFoundError:
            raw = {}
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raw = {}
            self._set_aside(error)
        except OSError as error:
            raw = {}
            self._fail(error)
        self._raw = raw
        return dict(self._understood(raw))

    def _understood(self, raw: dict[str, dict[str, Any]]) -> Iterator[tuple[str, R]]:
        for id, record in raw.items():
            try:
                yield id, msgspec.convert(record, self._shape)
            except ValidationError as error:
                log.warning("%s: a record is left alone: %s", self.path, error)

    def _set_aside(self, error: Exception) -> None:
        aside = self.path.with_name(f"{self.path.name}.corrupt-{int(time.time())}")
        try:
            self.path.rename(aside)
        except OSError as failure:
            self._fail(failure)
        else:
            log.warning("%s is corrupt (%s); moved to %s, and begun anew", self.path, error, aside.name)

    def _fail(self, error: OSError) -> None:
        """Remember that the file cannot be read: until it can, there are no records, and nothing may be written."""
        self._problem = error
        log.error("cannot read %s: %s", self.path, error.strerror or error)


def overlay(raw: dict[str, Any], record: Struct) -> dict[str, Any]:
    """The record as JSON has it, with the keys of `raw` that its type does not have."""
    known = {field.encode_name for field in msgspec.structs.fields(record)}
    new: dict[str, Any] = msgspec.to_builtins(record)
    if isinstance(record, Device):
        tokens = raw.get("tokens", {})
        new["tokens"] = {role: overlay(tokens.get(role, {}), token) for role, token in record.tokens.items()}
    return {**{key: value for key, value in raw.items() if key not in known}, **new}

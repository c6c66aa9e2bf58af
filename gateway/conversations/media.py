"""Files that clients attach to messages. They are kept in `media/inbound` of the state folder, where tools find them.

Names are made as OpenClaw makes them: the client's name, cleaned, and an id that no other file has. A file is removed
only if its message was refused, because transcripts name it.
"""

import base64
import binascii
import json
import mimetypes
import os
import re
import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("media", "inbound")
"""The folder below the state folder; OpenClaw's place."""
MAX_FILE = 20 * 1024 * 1024
"""Bytes of one file; OpenClaw's default."""
MAX_KEPT = 2 * 1024**3
"""Bytes of all files together."""
MAX_KEPT_FILES = 10_000
MAX_STEM = 60
"""Characters of the client's name in the name of the file."""
MAX_STEM_BYTES = 150
"""Bytes of the client's name: the file system allows 255, and an id and an ending take the rest."""
MAX_TOLD = 256
"""Characters of the client's name that the model is told."""
UNKNOWN = "application/octet-stream"
_MIME = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,16}")
_SEPARATORS = re.compile(r"[/\\]")


class NotKept(Exception):
    """An attachment could not be written, or there is no room; the message says where."""


@dataclass(frozen=True)
class Attachment:
    """One attached file."""

    name: str
    """The client's name for it; it may be any text."""
    mime: str
    data: str
    """Base64; its size was checked."""


def kind_of(told: object, name: str) -> str:
    """The media type that a client says, otherwise the one of the name's ending."""
    told = str(told or "").partition(";")[0].strip().lower()
    guessed = mimetypes.guess_type(basename(name))[0] if told in ("", UNKNOWN) else None
    kind = guessed or told
    return kind if _MIME.fullmatch(kind) else UNKNOWN


def basename(name: str) -> str:
    """The last part of a path, with the separators of any system."""
    return _SEPARATORS.split(name)[-1]


def id_of(name: str, mime: str) -> str:
    """A file name that no other file has, and that shows the client's name."""
    stem, ending = os.path.splitext(basename(name))
    if not _ENDING.fullmatch(ending):
        stem, ending = stem + ending, "" if mime == UNKNOWN else mimetypes.guess_extension(mime) or ""
    plain = "".join(each if each.isalnum() or each in "._-" else "_" for each in unicodedata.normalize("NFC", stem))
    short = re.sub("_+", "_", plain)[:MAX_STEM].encode("utf-8", "ignore")[:MAX_STEM_BYTES].decode("utf-8", "ignore")
    return f"{head}---{uuid.uuid4()}{ending}" if (head := short.strip("_.")) else f"{uuid.uuid4()}{ending}"


def keep(state: Path, files: Sequence[Attachment]) -> list[Path]:
    """Write all files, or none; return their paths. Raises NotKept."""
    folder, kept = state / FOLDER, list[Path]()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _must_have_room(folder, files)
        for file in files:
            kept.append(path := folder / id_of(file.name, file.mime))
            _write(path, base64.b64decode(file.data))
    except (OSError, binascii.Error) as error:
        drop(kept)
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise NotKept(f"attachments cannot be kept in {folder}: {why}") from None
    except NotKept:
        drop(kept)
        raise
    return kept


def drop(kept: Sequence[Path]) -> None:
    """Remove the files of a message that was refused."""
    for path in kept:
        with suppress(OSError):
            path.unlink()


def told(text: str, files: Sequence[Attachment], kept: Sequence[Path]) -> str:
    """The user's text, with a line for each file that tells the model its path."""
    lines = [_line(file, path) for file, path in zip(files, kept, strict=True)]
    return "\n".join([text, *lines] if text.strip() else lines)


def _line(file: Attachment, path: Path) -> str:
    """The line for one file. The client's name for it cannot end the line or its bracket."""
    name = "".join(
        " " if each == "]" or unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") else each
        for each in basename(file.name)
    )
    name = " ".join(name.split())[:MAX_TOLD]
    called = f" {json.dumps(name, ensure_ascii=False)}" if name else ""
    return f"[media attached: {path} ({file.mime}){called}]"


def _must_have_room(folder: Path, files: Sequence[Attachment]) -> None:
    sizes = list(_sizes(folder))
    if len(sizes) + len(files) > MAX_KEPT_FILES:
        raise NotKept(f"{folder} has {len(sizes)} files, and may have {MAX_KEPT_FILES}: delete some of them")
    coming = sum(len(file.data) // 4 * 3 for file in files)
    if sum(sizes) + coming > MAX_KEPT:
        raise NotKept(f"{folder} has {sum(sizes)} bytes, and may have {MAX_KEPT}: delete some of its files")


def _sizes(folder: Path) -> Iterator[int]:
    with os.scandir(folder) as found:
        for each in found:
            with suppress(FileNotFoundError):  # it was removed meanwhile
                yield each.stat(follow_symlinks=False).st_size


def _write(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

"""The result of a check of `doctor`."""

from typing import Literal

from msgspec import Struct

Severity = Literal["problem", "warning", "note"]
"""problem: clients cannot be served as they should, or soon will not be · warning: it will hurt one day ·
note: good to know, nothing to mend."""


class Finding(Struct, frozen=True):
    severity: Severity
    title: str
    detail: str = ""
    remedy: str = ""
    """The command that mends it, ready to paste; "" if there is none."""

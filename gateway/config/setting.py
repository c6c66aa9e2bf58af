"""The metadata of each value in `schema`: bounds, doc, and the effect of a change."""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta


class Effect(StrEnum):
    """The effect of a change of a value. The words are those of `report.Change.effect`."""

    NONE = "none"
    """None: the value is not used."""
    HOT = "hot"
    """Applied while running: read on use, or by the field's action."""
    RESTART = "restart"
    """A restart of the process."""
    UNIT = "unit"
    """The socket unit must change: `openclaw-gateway install` under systemd; without systemd, a restart."""


ACTIONS = ("logging", "auth")
"""Hot actions in their order: logging first, so that the others are logged with the new settings."""


def rule(
    doc: str,
    effect: Effect,
    *,
    action: str | None = None,
    secret: bool = False,
    allowed: str | None = None,
    **bounds: Any,
) -> Meta:
    """The metadata of a field. `allowed` describes the allowed values if type and bounds do not."""
    extra = {"effect": effect, "action": action, "secret": secret, "allowed": allowed}
    return Meta(description=doc, extra=extra, extra_json_schema={"x-effect": effect.value}, **bounds)


HOT, RESTART, UNIT = Effect.HOT, Effect.RESTART, Effect.UNIT

# `(?![\s\S])` is the end of the text in Python's and in JSON Schema's regular expressions alike; Python's `$` would
# let one newline through.
Text = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f\ud800-\udfff]*(?![\s\S])")]
Texts = tuple[Text, ...]
Header = Annotated[str, Meta(max_length=256, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+(?![\s\S])")]
BasePath = Annotated[str, Meta(max_length=256, pattern=r"^(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*(?![\s\S])")]

"""What stands beside each value of `schema`: its bounds, its doc, and what a change of it needs."""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta


class Effect(StrEnum):
    """What a change of a value needs. The words are those of `report.Change.effect`."""

    NONE = "none"
    """Nothing: we do not use it."""
    HOT = "hot"
    """Taken while running: read on use, or applied by the field's action."""
    RESTART = "restart"
    """A restart of the process."""
    UNIT = "unit"
    """It belongs to the socket unit: `openclaw-gateway install` under systemd, a restart where we bind ourselves."""


ACTIONS = ("logging", "auth")
"""Hot actions in the order of applying: logging first, so that the rest is logged as the user now wants."""


def rule(
    doc: str,
    effect: Effect,
    *,
    action: str | None = None,
    secret: bool = False,
    allowed: str | None = None,
    **bounds: Any,
) -> Meta:
    """What stands beside a field. `allowed` words the allowed values where type and bounds do not say it."""
    extra = {"effect": effect, "action": action, "secret": secret, "allowed": allowed}
    return Meta(description=doc, extra=extra, extra_json_schema={"x-effect": effect.value}, **bounds)


HOT, RESTART, UNIT = Effect.HOT, Effect.RESTART, Effect.UNIT

# `(?![\s\S])` is the end of the text in Python's and in JSON Schema's regular expressions alike; Python's `$` would
# let one newline through.
Text = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f\ud800-\udfff]*(?![\s\S])")]
Texts = tuple[Text, ...]
Header = Annotated[str, Meta(max_length=256, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+(?![\s\S])")]
BasePath = Annotated[str, Meta(max_length=256, pattern=r"^(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*(?![\s\S])")]

"""The config for clients that may read it and not write it: values that are known to be harmless, and no others.

`redaction` recognises secrets by names, which can be incomplete. Here a value is shown only if its setting is known and
the value is valid for it; all others are `REDACTED`, numbers, too. Keys are shown.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.config.fields import FIELDS
from gateway.rpc.redaction import REDACTED, is_reference, tells_of_url

Name = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*(?![\s\S])")]
"""A name of a person, a model or a folder."""
Number = int | float

_NAMES = {
    "agents.defaults": "workspace userTimezone contextInjection model model.primary model.fallbacks.*",
    "agents.defaults.compaction": "mode model thinkingLevel identifierPolicy",
    "agents.list.*": "id name workspace model model.primary model.fallbacks.* identity.name identity.emoji",
    "agents.entries.*": "name workspace model model.primary model.fallbacks.* identity.name identity.emoji",
    "agents.defaults.models.*": "alias",
    "agents.list.*.models.*": "alias",
    "gateway": "mode controlUi.basePath",
    "logging": "file",
    "mcp.servers.*": "transport type",
    "meta": "lastTouchedAt lastTouchedVersion",
    "models.providers.*": "api models.*.id models.*.name models.*.api models.*.input.*",
    "session": "mainKey scope",
    "ui.assistant": "name",
}
_NUMBERS = {
    "agents.defaults": "bootstrapMaxChars bootstrapTotalMaxChars contextTokens timeoutSeconds",
    "agents.defaults.compaction": "keepRecentTokens recentTurnsPreserve timeoutSeconds",
    "models.providers.*.models.*": "contextWindow maxTokens cost.input cost.output cost.cacheRead cost.cacheWrite",
}
"""Harmless settings that have no type in `config/schema`, by the object that they stand in. `*`: any key or item."""


@dataclass
class _Rule:
    """The values that may be shown at a place: those of `type`, and those that `below` allows."""

    type: Any = None
    below: "dict[str, _Rule]" = field(default_factory=dict)

    def at(self, *keys: str) -> "_Rule":
        """The rule of a place below; missing rules are created."""
        found = self
        for key in keys:
            found = found.below.setdefault(key, _Rule())
        return found


_NOTHING = _Rule()


def _rules() -> _Rule:
    root = _Rule()
    for table, type in ((_NAMES, Name), (_NUMBERS, Number)):
        for section, places in table.items():
            for place in places.split():
                root.at(*section.split("."), *place.split(".")).type = type
    for setting in FIELDS.values():
        if setting.closed:
            root.at(*setting.keys).type = setting.type
    return root


def visible(value: Any) -> Any:
    """A copy in which each value that is not known to be harmless is `REDACTED`."""
    return _see(value, _RULES)


def _see(value: Any, rule: _Rule) -> Any:
    if rule.type is not None and _is_of(value, rule.type):
        return value
    if isinstance(value, dict):
        return {key: _see(child, _below(rule, key)) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_see(child, _below(rule, "*")) for child in value]
    if value is None or isinstance(value, bool) or value == "" or (isinstance(value, str) and is_reference(value)):
        return value
    return REDACTED


def _below(rule: _Rule, key: str) -> _Rule:
    return rule.below.get(key) or rule.below.get("*") or _NOTHING


def _is_of(value: Any, type: Any) -> bool:
    """Whether the value is valid for the setting, and no URL that may contain a key."""
    try:
        msgspec.convert(value, type)
    except (msgspec.ValidationError, TypeError):
        return False
    texts = value if isinstance(value, list | tuple) else [value]
    return not any(isinstance(each, str) and tells_of_url(each) for each in texts)


_RULES = _rules()

"""agents.defaults.compaction: how conversations are kept within their model's context window, as in OpenClaw.

Invalid values are ignored. `provider`, `qualityGuard`, `midTurnPrecheck`, `postIndexSync`,
`postCompactionSections`, `memoryFlush` and `maxActiveTranscriptBytes` are not used.
"""

from typing import Any

from gateway.config.models import MAX_TIMEOUT_S, THINKING, chain
from gateway.config.substitute import Lookup
from gateway.config.tree import ConfigTree, Unusable, as_positive_int, as_text, section
from gateway.link.spec import Compaction

MAX_INSTRUCTIONS = 800
"""Characters of a user's instructions for a summary."""


def compaction(tree: ConfigTree, env: Lookup, agent_id: str, thinking: str) -> Compaction:
    """`thinking`: the session's level, for a config with `inherit`."""
    shared = section(tree, "agents", "defaults", "compaction")
    default = Compaction()
    level = as_text(shared.get("thinkingLevel"))
    turns = shared.get("recentTurnsPreserve")
    return Compaction(
        enabled=shared.get("enabled") is not False,
        keep_tokens=as_positive_int(shared.get("keepRecentTokens")) or default.keep_tokens,
        keep_turns=0 if turns == 0 and not isinstance(turns, bool) else as_positive_int(turns) or default.keep_turns,
        timeout_ms=min(as_positive_int(shared.get("timeoutSeconds")) or default.timeout_ms // 1000, MAX_TIMEOUT_S)
        * 1000,
        thinking=thinking if level == "inherit" else level if level in THINKING else default.thinking,
        strict=shared.get("identifierPolicy") != "off",
        notify=shared.get("notifyUser") is True,
        model=_model(tree, env, agent_id, as_text(shared.get("model"))),
        window=as_positive_int(section(tree, "agents", "defaults").get("contextTokens")),
    )


def _model(tree: ConfigTree, env: Lookup, agent_id: str, name: str | None) -> Any:
    """None if none is named or it cannot be used: then the conversation's own model writes summaries."""
    if name is None:
        return None
    try:
        return chain(tree, env, agent_id, name)[0]
    except Unusable:
        return None

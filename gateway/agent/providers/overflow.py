"""How providers say that a conversation is too long for their model, and by how much. Pure."""

import re
from typing import NamedTuple

OVERFLOW = re.compile(
    r"context[_ ]length[_ ]exceeded|context[_ ]window[_ ]exceeded|exceed_context_size|contextwindowexceeded"
    r"|maximum (?:context|prompt) length"
    r"|(?:exceeds?|exceeded|larger than|greater than|longer than|beyond|over)\b[^.]{0,60}"
    r"\b(?:context|n_ctx)\b"
    r"|context (?:length|size|window)[^.]{0,40}\b(?:exceed|too (?:small|long|large)|overflow)"
    r"|prompt is too long|(?:prompt|input|message|conversation|request)s? (?:is|are)? ?too (?:long|large)"
    r"|request_too_large|model_max_prompt_tokens_exceeded|string_above_max_length"
    r"|input (?:token count|length|tokens)[^.]{0,60}exceed"
    r"|exceeds? the (?:maximum|max)[^.]{0,40}\btokens?\b|input exceeds the maximum number of tokens"
    r"|too many (?:input |prompt )?tokens(?! per)|reduce the length of (?:the|your)"
    r"|(?:decoder|encoder) prompt[^.]{0,60}longer than the maximum model length|max_model_len"
    r"|maximum prompt length|prompt exceeds (?:the )?max|exceeded model token limit|prompt token count[^.]{0,40}exceed"
    r"|`inputs` tokens \+ `max_new_tokens` must be"
    r"|exceeds? the model'?s? (?:maximum )?(?:input |context )?(?:length|limit)",
    re.IGNORECASE,
)
STATUSES = (400, 413, 422, 500)
"""Statuses of such an answer. Ollama and llama.cpp have used 500."""
_NUMBER = r"(\d[\d,_]*)"
_LIMITS = (
    rf"maximum context length (?:is|of) {_NUMBER}",
    rf"tokens? ?> ?{_NUMBER}",
    rf"maximum number of (?:input )?tokens allowed \(?{_NUMBER}",
    rf"(?:context|available context) (?:size|length|window)(?! by)[^\d.]{{0,20}}{_NUMBER}",
    rf"n_ctx\D{{0,6}}{_NUMBER}",
    rf"maximum model length of {_NUMBER}",
    rf"limit (?:is|of) {_NUMBER}",
    rf"maximum (?:input |prompt )?(?:length|tokens)\D{{0,12}}{_NUMBER}",
)
_ASKED = (
    rf"(?:your )?messages resulted in {_NUMBER}",
    rf"requested {_NUMBER} tokens",
    rf"prompt (?:contains|is too long)\D{{0,20}}{_NUMBER}",
    rf"{_NUMBER} tokens? ?>",
    rf"request contains {_NUMBER} tokens",
    rf"input token count \(?{_NUMBER}",
    rf"n_prompt_tokens\D{{0,6}}{_NUMBER}",
    rf"request \({_NUMBER} tokens\)",
    rf"prompt \(?(?:length |total length )?{_NUMBER}",
    rf"at least {_NUMBER} input tokens",
)
MIN_WINDOW = 256
"""Tokens of the smallest window that is believed."""


class Sizes(NamedTuple):
    """Numbers of tokens in a refusal; None for a number that it does not have."""

    limit: int | None
    asked: int | None


def is_overflow(said: str, status: int | None) -> bool:
    return (status is None or status in STATUSES) and OVERFLOW.search(said) is not None


def sizes(said: str) -> Sizes:
    return Sizes(_first(_LIMITS, said), _first(_ASKED, said))


def _first(patterns: tuple[str, ...], said: str) -> int | None:
    for pattern in patterns:
        if found := re.search(pattern, said, re.IGNORECASE):
            number = int(re.sub(r"\D", "", found[1])[:12])
            return number if number >= MIN_WINDOW else None
    return None

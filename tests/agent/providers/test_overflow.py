"""The words in which providers say that a conversation is too long, as they have been seen, and what only sounds so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.providers.overflow import MIN_WINDOW, STATUSES, Sizes, is_overflow, sizes

SAID = [
    # OpenAI, chat completions and responses
    (
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 200001 tokens. "
        "Please reduce the length of the messages.",
        400,
        Sizes(128000, 200001),
    ),
    (
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (7000 in the messages, "
        "2000 in the completion).",
        400,
        Sizes(8192, 9000),
    ),
    (
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        400,
        Sizes(None, None),
    ),
    ('{"code": "context_length_exceeded", "message": "no"}', 400, Sizes(None, None)),
    # Anthropic
    ("prompt is too long: 210000 tokens > 200000 maximum", 400, Sizes(200000, 210000)),
    (
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or "
        "`max_tokens` and try again",
        400,
        Sizes(None, None),
    ),
    ('{"type": "request_too_large", "message": "Request exceeds the maximum size"}', 413, Sizes(None, None)),
    # Google
    (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        400,
        Sizes(1048576, 1200000),
    ),
    # llama.cpp
    (
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        400,
        Sizes(None, None),
    ),
    (
        '{"code":400,"message":"request (9000 tokens) exceeds the available context size (4096 tokens), try increasing '
        'it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}',
        400,
        Sizes(4096, 9000),
    ),
    # vLLM
    (
        "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. "
        "Please reduce the length of the input messages.",
        400,
        Sizes(4096, None),
    ),
    (
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that "
        "`max_model_len` is no smaller than the number of text tokens.",
        400,
        Sizes(4096, 5000),
    ),
    # Ollama
    ("ollama error: context length exceeded", 500, Sizes(None, None)),
    ("input length exceeds maximum context length", 400, Sizes(None, None)),
    ("prompt too long; exceeded max context length by 300 tokens", 400, Sizes(None, None)),
    # LiteLLM, OpenRouter, LM Studio, Groq, Mistral, xAI, Bedrock
    (
        "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - This model's maximum context "
        "length is 4097 tokens.",
        400,
        Sizes(4097, None),
    ),
    (
        "This endpoint's maximum context length is 65536 tokens. However, you requested about 70000 tokens.",
        400,
        Sizes(65536, None),
    ),
    (
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context "
        "length of only 4096 tokens, which is too small",
        400,
        Sizes(4096, None),
    ),
    ("Please reduce the length of the messages or completion.", 400, Sizes(None, None)),
    ("Prompt contains 40000 tokens, too large for model with 32768 maximum context length", 400, Sizes(None, 40000)),
    (
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
        400,
        Sizes(131072, 140000),
    ),
    ("Input is too long for requested model.", 400, Sizes(None, None)),
]


WORDS = {
    "OpenAI": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    "OpenAI's code": '{"code": "context_length_exceeded"}',
    "OpenAI's responses": "Your input exceeds the context window of this model.",
    "Anthropic": "prompt is too long: 208310 tokens > 200000 maximum",
    "Anthropic with an answer": "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
    "Google": "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    "llama.cpp": "the request exceeds the available context size, try increasing it",
    "llama.cpp's type": '{"type": "exceed_context_size_error"}',
    "vLLM": "The decoder prompt (length 9) is longer than the maximum model length of 8.",
    "Ollama": "the input length exceeds the context length",
    "LiteLLM": "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException",
    "LM Studio": "The context overflows: 9 tokens are greater than the context length of 8.",
    "SGLang": "The input (9 tokens) is longer than the model's context length (8 tokens).",
    "Groq": "Please reduce the length of the messages or completion.",
    "xAI": "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
    "text-generation-inference": "`inputs` tokens + `max_new_tokens` must be <= 8192. Given: 9000 `inputs` tokens",
    "Bedrock": "Input is too long for requested model.",
    "Mistral": "Prompt contains 9 tokens, too large for model with 8 maximum context length",
    "MiniMax": "invalid params, context window exceeds limit",
    "Z.ai": "Prompt exceeds max length",
    "Moonshot": "Invalid request: Your request exceeded model token limit: 8192",
    "Copilot": "prompt token count of 9 exceeds the limit of 8",
    "Cohere": "too many tokens: size limit exceeded by 9 tokens",
}


@pytest.mark.parametrize("who", WORDS)
def test_a_conversation_that_is_too_long_is_that_in_everybodys_words(who: str) -> None:
    assert all(is_overflow(WORDS[who], status) for status in (*STATUSES, None))
    assert not is_overflow(WORDS[who], 429), "tokens of a minute"


@pytest.mark.parametrize(("said", "status", "found"), SAID)
def test_an_overflow_is_known_by_its_words_and_its_numbers_are_read(said: str, status: int, found: Sizes) -> None:
    assert is_overflow(said, status)
    assert sizes(said) == found


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Rate limit reached: too many tokens per min (TPM): Limit 30000, Used 29000, Requested 5000", 429),
        ("Too many tokens per minute", 400),
        ("max_tokens must be at least 1", 400),
        ("Could not process image", 400),
        ("image exceeds 5 MB maximum: 5316852 bytes > 5242880 bytes", 400),
        ("Invalid value for 'content': expected a string, got null.", 400),
        ("prompt is too long: 210000 tokens > 200000 maximum", 401),
        ("tool_use ids were found without tool_result blocks", 400),
        ("", 400),
    ],
)
def test_what_is_no_overflow(said: str, status: int) -> None:
    assert not is_overflow(said, status)


def test_a_window_that_nobody_has_is_not_believed() -> None:
    assert sizes(f"maximum context length is {MIN_WINDOW} tokens").limit == MIN_WINDOW
    assert sizes(f"maximum context length is {MIN_WINDOW - 1} tokens").limit is None


@given(st.text(max_size=300))
def test_any_words_are_judged(said: str) -> None:
    is_overflow(said, 400)
    assert all(size is None or size >= MIN_WINDOW for size in sizes(said))

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.secretmistakes import LONGEST, mistaken, mistaken_in

REFERENCES = [
    "${X:-y}",
    "${OPENCLAW_GATEWAY_TOKEN:-change-me}",
    "${gateway_token}",
    "${}",
    "${X}",
    "$lower",
    "$OPENCLAW_GATEWAY_TOKEN",
    "$env:TOKEN",
    "%TOKEN%",
    "$(cat_token)",
    "`token`",
    "{{token}}",
    "${{secrets.TOKEN}}",
    "#{{token}}",
    "$[token]",
    "!env TOKEN",
    "process.env.TOKEN",
    'os.environ["T"]',
    'ENV["T"]',
    "file:/run/secrets/t",
    "file:t",
    "env:TOKEN",
    "exec:pass",
    "vault:secret/t",
    "secretref-env:TOKEN",
    "op://vault/item/token",
    "/run/secrets/token",
    "/etc/token",
    "~/token",
    "/home/u/token",
    "before-${X:-y}",
]
PLACEHOLDERS = [
    "<your-token>",
    "<token>",
    "[token]",
    "change-me",
    "changeme",
    "CHANGE_ME",
    "change_this",
    "replace-me",
    "please-change-me",
    "your-token",
    "YOUR_API_KEY",
    "your-openai-api-key",
    "your.token.here",
    "insert-your-token-here",
    "enter-password",
    "sk-...",
    "sk-proj-…",
    "***",
    "****",
    "TODO",
    "placeholder",
    "REDACTED",
    "undefined",
    "null",
    "__OPENCLAW_REDACTED__",
    "replace me",
    "<your token here>",
    "put your token here",
]
SECRETS = [
    "t",
    "s3cret",
    "hunter2",
    "pa$$word",
    "a$b",
    "${",
    "}x",
    "x}",
    "sk-proj-abcDEF123",
    "ghp_0123456789",
    "AKIA0123",
    "correct-horse-battery-staple",
    "/kJh8+aB==",
    "eyJhbGciOi.J9.x",
    "my-token",
    "secret",
    "token",
    "changeling",
    "yourself",
    "null-and-void",
    "redacted-not",
    "ollama-local",
    "EMPTY",
    "not-needed",
    "none",
    "dummy",
    "xxx",
    "<not-closed",
    "file",
    "$",
    "100%",
    "...trailing",
    "https://u:p@h/x",
]


@pytest.mark.parametrize("text", REFERENCES)
def test_what_looks_like_a_reference(text: str) -> None:
    what = mistaken(f" {text} ")
    assert what is not None and "looks like" in what and "are replaced" in what and text not in what


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_what_an_example_has(text: str) -> None:
    assert mistaken(text) == "it looks like the placeholder of an example"


@pytest.mark.parametrize("text", SECRETS)
def test_what_may_be_a_secret(text: str) -> None:
    assert mistaken(text) is None


def test_what_is_long_is_a_secret() -> None:
    assert mistaken("<" + "x" * (LONGEST - 2) + ">") and mistaken("<" + "x" * (LONGEST - 1) + ">") is None


@given(
    st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=_-", min_size=16, max_size=64)
)
def test_what_a_generator_makes_is_one(secret: str) -> None:
    assert mistaken("0" + secret) is None


def test_of_headers_and_variables_the_name_decides() -> None:
    assert mistaken_in("Authorization", "Bearer <your-token>") and mistaken_in("GITHUB_TOKEN", "${x}")
    assert mistaken_in("X-Path", "/home/u") is None and mistaken_in("Authorization", 5) is None

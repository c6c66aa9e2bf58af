"""`secrets.providers` as they are written, and what files and programs answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.secretproviders import (
    LARGEST_BYTES,
    MAX_BYTES,
    MAX_TIMEOUT_MS,
    TIMEOUT_MS,
    EnvProvider,
    FileProvider,
    ProgramProvider,
    SecretRefused,
    definition,
    from_file,
    from_program,
    request,
)


def defined(entry: Any, source: str, name: str = "p", **defaults: str) -> Any:
    return definition({"secrets": {"providers": {name: entry}, "defaults": defaults}}, source, name)


def test_the_environment_needs_no_entry() -> None:
    assert definition({}, "env", "default") == EnvProvider()
    assert defined({"source": "file", "path": "/f"}, "env", "mine", env="mine") == EnvProvider()
    assert defined({"source": "env", "allowlist": []}, "env") == EnvProvider(())


def test_what_is_not_written_has_openclaws_defaults() -> None:
    assert defined({"source": "file", "path": "~/s.json"}, "file") == FileProvider("~/s.json", False, MAX_BYTES)
    found = defined({"source": "exec", "command": "/bin/x"}, "exec")
    assert found == ProgramProvider("/bin/x", timeout_ms=TIMEOUT_MS, silence_ms=TIMEOUT_MS, max_bytes=MAX_BYTES)


def test_bounds_hold_whatever_is_written() -> None:
    wild = {"source": "exec", "command": "/x", "timeoutMs": 10**9, "maxOutputBytes": 10**12}
    found = defined(wild, "exec")
    assert (found.timeout_ms, found.silence_ms, found.max_bytes) == (MAX_TIMEOUT_MS, MAX_TIMEOUT_MS, LARGEST_BYTES)


@pytest.mark.parametrize(
    ("entry", "source", "problem"),
    [
        ({"source": "file"}, "file", "secrets.providers.p.path is not valid"),
        ({"source": "file", "path": "relative.json"}, "file", "path is not valid"),
        ({"source": "file", "path": "/f", "mode": "yaml"}, "file", "mode is not valid"),
        ({"source": "file", "path": "/f", "maxBytes": 0}, "file", "maxBytes is not valid"),
        ({"source": "file", "path": "/f", "maxBytes": True}, "file", "maxBytes is not valid"),
        ({"source": "exec", "command": "vault"}, "exec", "command is not valid"),
        ({"source": "exec", "command": "/x", "args": "-v"}, "exec", "args is not valid"),
        ({"source": "exec", "command": "/x", "args": ["a\0b"]}, "exec", "args is not valid"),
        ({"source": "exec", "command": "/x", "env": {"A": 1}}, "exec", "env is not valid"),
        ({"source": "exec", "command": "/x", "jsonOnly": "no"}, "exec", "jsonOnly is not valid"),
        ({"source": "exec", "command": "/x", "trustedDirs": ["rel"]}, "exec", "trustedDirs is not valid"),
        ({"source": "exec", "pluginIntegration": {}}, "exec", "is of a plugin"),
        ({"source": "exec", "command": "/x"}, "file", "another source"),
        ("text", "file", 'there is no provider "p"'),
    ],
)
def test_what_is_wrong_with_a_provider_is_named(entry: Any, source: str, problem: str) -> None:
    with pytest.raises(SecretRefused, match=problem.replace(".", r"\.")) as refused:
        defined(entry, source)
    assert refused.value.way_out


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/a/b", "s"),
        ("/with~1slash", "slash"),
        ("/with~0tilde", "tilde"),
        ("/list/1", "second"),
        ("/list/2", None),
        ("/list/01", None),
        ("/list/-", None),
        ("/a/b/c", None),
        ("/absent", None),
        ("/", "empty"),
    ],
)
def test_a_pointer_is_read_as_rfc_6901_says(pointer: str, value: str | None) -> None:
    tree = {"a": {"b": "s"}, "with/slash": "slash", "with~tilde": "tilde", "list": ["first", "second"], "": "empty"}
    data = b"\xef\xbb\xbf" + json.dumps(tree).encode()
    assert from_file(FileProvider("/f"), data, [pointer]) == {pointer: value}


@pytest.mark.parametrize(
    ("data", "secret"), [(b"s", "s"), (b"s\n", "s"), (b"s\r\n", "s"), (b"s\n\n", "s\n"), (b"\xef\xbb\xbf s \n", " s ")]
)
def test_a_file_that_is_the_secret_loses_one_end_of_line(data: bytes, secret: str) -> None:
    found = from_file(FileProvider("/f", single=True), data, ["value", "/a"])
    assert found["value"] == secret and isinstance(found["/a"], SecretRefused)


@pytest.mark.parametrize("data", [b"", b"[]", b'"s"', b"{", b"\xff", b"[" * 100_000])
def test_a_file_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(SecretRefused, match=r"/f is (no JSON object|not UTF-8)"):
        from_file(FileProvider("/f"), data, ["/a"])


def test_a_program_hears_what_openclaw_says() -> None:
    assert json.loads(request("vault", ["a", "b"])) == {"protocolVersion": 1, "provider": "vault", "ids": ["a", "b"]}


def said(output: str, *, json_only: bool = True, ids: tuple[str, ...] = ("a",)) -> dict[str, Any]:
    return from_program("vault", ProgramProvider("/x", json_only=json_only), output.encode(), list(ids))


def test_a_program_answers_by_id() -> None:
    found = said('{"protocolVersion":1,"values":{"a":"A"},"errors":{"b":{"code":"NOT_FOUND","message":"s3cret"}}}')
    assert found["a"] == "A"
    assert str(found["b"]) == 'the program of "vault" has no "b" (NOT_FOUND)'
    other = said('{"protocolVersion":1,"values":{},"errors":{"b":{"code":"s3cret"}}}')
    assert "s3cret" not in str(other["b"])


@pytest.mark.parametrize(("output", "secret"), [("plain\n", "plain"), ('"quoted"', "quoted")])
def test_a_plain_answer_counts_where_it_is_allowed(output: str, secret: str) -> None:
    assert said(output, json_only=False) == {"a": secret}
    for refused in ({"json_only": True}, {"json_only": False, "ids": ("a", "b")}):
        with pytest.raises(SecretRefused, match="answers in another form"):
            said(output, **refused)  # type: ignore[arg-type]


@given(st.text() | st.sampled_from(['{"protocolVersion":1}', '{"protocolVersion":1,"values":[]}', "[]", "1"]))
def test_no_answer_breaks_it_or_is_quoted(output: str) -> None:
    try:
        said(output)
    except SecretRefused as refused:
        assert not output.strip() or len(output) < 4 or output not in str(refused)

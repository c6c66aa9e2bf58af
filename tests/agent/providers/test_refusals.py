"""Which tool a provider means that does not take a request, in its own words."""

from typing import Any

import pytest
from pydantic_ai.exceptions import ModelHTTPError

from gateway.agent.providers.refusals import refused_tool
from gateway.agent.turn.source import Tool

TOOLS = [Tool(name, "", {}) for name in ("db__query", "db__query_all", "web__get")]
OPENAI = "Invalid schema for function 'db__query_all': schema must be a JSON Schema of type object, got type None."


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (
            {"error": {"message": OPENAI, "type": "invalid_request_error", "param": "tools[0].function.parameters"}},
            "db__query_all",
        ),
        ({"error": {"message": "tools.2.custom.input_schema: JSON schema is invalid"}}, "web__get"),
        ({"error": {"message": "Invalid 'tools[1].function.name': string does not match pattern"}}, "db__query_all"),
        (
            {
                "error": {
                    "message": "* GenerateContentRequest.tools[0].function_declarations[2].parameters: should be object"
                }
            },
            "web__get",
        ),
        ("tool web__get: unsupported schema keyword", "web__get"),
        ({"error": {"message": "tools.7.custom.input_schema: JSON schema is invalid"}}, None),
        ({"error": {"message": "the maximum context length is 4096 tokens"}}, None),
        ({"error": {"message": "web__get"}}, None),
        (None, None),
    ],
)
def test_by_its_name_or_its_place(body: Any, name: str | None) -> None:
    assert refused_tool(ModelHTTPError(400, "m", body), TOOLS) == name
    assert refused_tool(ModelHTTPError(500, "m", body), TOOLS) is None
    assert refused_tool(ModelHTTPError(400, "m", body), []) is None


def test_another_error_means_none() -> None:
    assert refused_tool(ValueError("tools.0"), TOOLS) is None

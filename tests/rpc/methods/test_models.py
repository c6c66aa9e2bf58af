from gateway.protocol.scopes import READ
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

OLD, NEW = make_peer(3, READ), make_peer(4, READ)


def test_models_of_the_config() -> None:
    row = {
        "id": "m1",
        "name": "Mock 1",
        "provider": "mock",
        "contextWindow": 200000,
        "reasoning": False,
        "input": ["text"],
    }
    assert call(configured(), OLD, "models.list")["payload"] == {"models": [row]}
    assert call(configured(), NEW, "models.list", {"view": "configured"})["payload"]["models"] == [
        row
        | {
            "tags": ["default"],
            "thinkingLevels": [{"id": "off", "label": "off"}],
            "thinkingDefault": "off",
            "available": True,
        }
    ]
    assert call(configured(), NEW, "models.list", {"provider": "other"})["payload"] == {"models": []}
    (echo,) = call(configured({}), NEW, "models.list")["payload"]["models"]
    assert (echo["id"], echo["provider"], echo["tags"], echo["available"]) == ("echo", "builtin", ["default"], True)


def test_models_that_are_only_named() -> None:
    tree = {
        "agents": {
            "defaults": {
                "model": {"primary": "openai/gpt-5.2", "fallbacks": ["anthropic/x"]},
                "models": {"ollama/llama3.3": {"alias": "local"}},
            }
        }
    }
    core = configured(tree)
    core.variables["OPENAI_API_KEY"] = "k"
    rows = call(core, NEW, "models.list")["payload"]["models"]
    assert [(row["provider"], row["id"], row["tags"], row["available"]) for row in rows] == [
        ("openai", "gpt-5.2", ["default"], True),
        ("anthropic", "x", ["fallback"], False),
        ("ollama", "llama3.3", [], True),
    ]
    (signed,) = call(core, NEW, "models.authStatus")["payload"]["providers"]
    assert (signed["provider"], signed["apiKey"]) == ("openai", {"source": "env"})


def test_a_key_is_not_shown() -> None:
    tree = {"models": {"providers": {"p": {"apiKey": "s3cret", "models": [{"id": "m"}]}}}}
    assert "s3cret" not in str(call(configured(tree), NEW, "models.list"))


def test_a_provider_with_a_key_needs_no_sign_in() -> None:
    payload = call(configured(), NEW, "models.authStatus", {"agentId": "main", "refresh": True})["payload"]
    assert payload.pop("ts") > 0
    row = {"provider": "mock", "authProvider": "mock", "displayName": "mock", "status": "static", "profiles": []}
    assert payload == {"providers": [row | {"apiKey": {"source": "config"}}], "providerCapabilities": []}
    keyless = configured({"models": {"providers": {"p": {"models": [{"id": "m"}]}}}})
    assert call(keyless, NEW, "models.authStatus")["payload"]["providers"] == []


def test_reading_needs_the_scope() -> None:
    for name in ("models.list", "models.authStatus"):
        error = call(configured(), make_peer(4, "operator.pairing"), name)["error"]
        assert error["message"] == "missing scope: operator.read"

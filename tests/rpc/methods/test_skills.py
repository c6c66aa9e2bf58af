from gateway.protocol.scopes import READ
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

OLD, NEW = make_peer(3, READ), make_peer(4, READ)
TEAM = {"agents": {"list": [{"id": "a"}, {"id": "b", "default": True}]}}


def test_no_skill_is_loaded() -> None:
    shown = {"workspaceDir": "/home/u/ws", "managedSkillsDir": "/home/u/.openclaw/skills", "skills": []}
    assert call(configured(), OLD, "skills.status")["payload"] == shown
    assert call(configured(), NEW, "skills.status", {"agentId": "main"})["payload"] == shown | {"agentId": "main"}
    of_session = call(configured(TEAM), NEW, "skills.status", {"sessionKey": "agent:a:main"})["payload"]
    assert (of_session["agentId"], of_session["workspaceDir"]) == ("a", "/home/u/.openclaw/workspace-a")
    error = call(configured(), NEW, "skills.status", {"agentId": "zzz"})["error"]
    assert error["message"] == 'unknown agent id "zzz"'


def test_no_skill_is_shared_proposed_or_found() -> None:
    library = call(configured(), NEW, "skills.library.list", {"scope": "all", "sessionKey": "main"})["payload"]
    assert library["entries"] == [] and library["canManageWorkspace"] is False
    assert (library["defaultTarget"], library["profileId"], library["defaultSelectionLimit"]) == ("workspace", None, 64)
    proposals = call(configured(), NEW, "skills.proposals.list", {"agentId": "main"})["payload"]
    assert proposals["proposals"] == proposals["installedSkills"] == []
    assert proposals["schema"] == "openclaw.skill-workshop.proposals-manifest.v1"
    assert call(configured(), NEW, "skills.search", {"query": "x", "limit": 100})["payload"] == {"results": []}
    error = call(configured(), NEW, "skills.search", {"query": ""})["error"]
    assert error["message"] == "invalid skills.search params: at /query: must NOT have fewer than 1 characters"


def test_reading_needs_the_scope() -> None:
    for name in ("skills.status", "skills.library.list", "skills.proposals.list", "skills.search"):
        error = call(configured(), make_peer(4, "operator.pairing"), name)["error"]
        assert error["message"] == "missing scope: operator.read"

from gateway.config import old_keys


def test_names_that_a_config_has() -> None:
    found = old_keys.find_old_keys({"agent": {"model": "x"}, "agents": {"list": []}, "env": {"A": "b"}})
    assert [(each.path, each.today) for each in found] == [(("agent", "model"), ("agents", "defaults", "model"))]
    assert old_keys.old_model_key({"routing": {"agents": {"a": {"model": "x"}}}}) is None
    assert str(old_keys.old_model_key({"model": "x"})) == "a name of former days; it is agents.defaults.model now"
    assert len(old_keys.find_old_keys({"agent": {f"k{n}": 1 for n in range(200)}})) == old_keys.MAX_FOUND


def test_what_restricts_is_found_however_much_else_has_an_old_name() -> None:
    many = {f"k{index}": {"x": 1} for index in range(old_keys.MAX_FOUND)}
    found = old_keys.find_old_keys({"agent": many, "routing": {"agents": {"a": {"tools": {"deny": ["x"]}}}}})
    assert len(found) == old_keys.MAX_FOUND
    assert [each.path for each in found if each.name.restricts] == [("routing", "agents", "a", "tools")]

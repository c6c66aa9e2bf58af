from gateway.config.compare import differences, same


def test_numbers_compare_as_json_has_them() -> None:
    assert same(1, 1.0) and not same(True, 1) and not same(0, False) and not same([1], [True])
    assert list(differences({"a": {"b": 1}}, {"a": {"b": 1.0}})) == []


def test_arrays_differ_as_a_whole_and_objects_by_key() -> None:
    assert list(differences({"a": [1, 2]}, {"a": [1, 3]})) == ["a"]
    assert set(differences({}, {"a": {"b": 1, "c": {}}})) == {"a.b", "a.c"}
    assert list(differences({"a": 1}, {"a": {"b": 1}})) == ["a"]

from gateway.config.unusable import Unusable


def test_what_cannot_be_used_says_where_why_and_what_to_do() -> None:
    error = Unusable("models.providers.p.api", "not supported", "use another one")
    assert str(error) == "models.providers.p.api: not supported; use another one"
    assert (error.key, error.problem, error.way_out) == ("models.providers.p.api", "not supported", "use another one")

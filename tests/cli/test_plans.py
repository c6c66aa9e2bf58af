import pytest

from gateway.cli.plans import plan_facts, print_plan
from gateway.reload.plan import Plan
from gateway.report import Change


def test_a_plan_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    change = Change("logging.level", "hot", "logging")
    made = Plan((change,), False, (), ("logging",), (), "hot", ("logging.level",))
    print_plan(made)
    print_plan(Plan((), False, (), (), (), "nothing"))
    assert capsys.readouterr().out == ("logging.level: applied hot\nno difference in meaning: nothing will happen\n")
    assert plan_facts(made)["changes"] == [
        {"path": "logging.level", "effect": "hot", "action": "logging", "fate": "hot"}
    ]

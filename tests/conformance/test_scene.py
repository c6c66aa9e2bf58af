"""What `make conformance` takes for a good conversation."""

from dataclasses import replace

from conformance.scene import Act, Scene
from conformance.sight import Sight

WHOLE = "You said: one two three"
SAID = ("user", "one two three")
SEND = Act("send", "send", ("one two three",), (SAID, ("assistant", WHOLE)), WHOLE)
SIGHT = Sight("2026.9.6", "chat, send", True, lines=("Chat",))
GOOD = Scene(SEND, SIGHT, (("assistant", "before"), SAID, ("assistant", "You said:\none two  three")), ("You", WHOLE))


def test_each_word_once_however_it_is_wrapped() -> None:
    assert GOOD.trouble == [] and GOOD.good and GOOD.version == "2026.9.6"


def test_what_is_doubled_missing_or_out_of_order() -> None:
    for messages in (
        (SAID, ("assistant", f"{WHOLE} three")),
        (SAID, ("assistant", "You said: one two")),
        (("assistant", WHOLE), SAID),
        (SAID, ("other", WHOLE)),
        (SAID,),
    ):
        assert replace(GOOD, messages=messages).trouble, messages
    assert replace(GOOD, messages=()).trouble == ["no message is shown"]


def test_what_was_seen_while_it_was_written_is_its_beginning() -> None:
    assert replace(GOOD, grown=("You said: one one two",)).trouble == ["while it was written: You said: one one two"]


def test_an_answer_that_was_stopped_has_a_beginning_of_the_whole() -> None:
    act = replace(SEND, ends=(SAID, ("assistant", "…")))
    for text, good in (("You said: one", True), ("", False), (WHOLE, False), ("You said: two", False)):
        scene = replace(GOOD, act=act, messages=(SAID, ("assistant", text)))
        assert scene.good == good, text


def test_what_is_looked_for_on_the_page() -> None:
    act = Act("rename", "rename", shows=("New name",), hides=("Old name",))
    fine = replace(SIGHT, lines=("New name for it",))
    assert Scene(act, fine, ()).good
    assert Scene(act, SIGHT, ()).trouble == ["not on the page: New name"]
    old = replace(SIGHT, lines=("New name", "Old name"))
    assert Scene(act, old, ()).trouble == ["still on the page: Old name"]


def test_a_wanted_error_must_be_there_and_alone() -> None:
    act = Act("send", "refused", error="refuses the API key")
    alert = "Error: mock refuses the API key"
    assert Scene(act, replace(SIGHT, lines=("Chat", alert), alerts=(alert,)), ()).good
    assert Scene(act, SIGHT, ()).trouble == ["not on the page: refuses the API key"]
    more = replace(SIGHT, lines=("Chat", alert, "Gateway unreachable"), alerts=(alert, "Gateway unreachable"))
    assert len(Scene(act, more, ()).trouble) == 2


def test_what_did_not_come_about() -> None:
    assert replace(GOOD, broken=("stopped",)).trouble == ["not so: stopped"]


def test_long_texts_are_shown_by_their_ends() -> None:
    (reason,) = replace(GOOD, messages=(("assistant", "x" * 100 + "y" * 100),)).trouble
    assert reason == f"shown: assistant: {'x' * 60} … {'y' * 57}"

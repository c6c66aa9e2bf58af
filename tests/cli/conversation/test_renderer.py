import re

import pytest

from gateway.cli.conversation.events import (
    ChatEvent,
    MessageRestarted,
    NextMessage,
    PastMessage,
    Question,
    RunBegun,
    RunEnded,
    TextDelta,
    ToolUse,
)
from gateway.cli.conversation.renderer import Renderer

ANSI = re.compile(r"\x1b\[\d+m")


def shown(*pieces: ChatEvent, width: int = 40, colour: bool = False) -> str:
    renderer = Renderer(lambda: width, colour)
    return "".join(map(renderer.render, pieces))


def test_an_answer() -> None:
    assert (
        shown(RunBegun("r"), TextDelta("r", "One t"), TextDelta("r", "wo"), RunEnded("r", "final", "One two"))
        == "One two\n\n"
    )


def test_an_answer_that_ends_its_line_itself() -> None:
    assert shown(TextDelta("r", "One\n"), RunEnded("r", "final", "One\n")) == "One\n\n"


def test_messages_stand_apart_and_tools_have_a_line() -> None:
    pieces = (
        *(
            TextDelta("r", "Let me look."),
            ToolUse("r", "look", {"q": "é", "n": 1}),
            ToolUse("r", "look", error="no\nsuch thing"),
        ),
        *(ToolUse("r", "wait"), NextMessage("r"), TextDelta("r", "There."), RunEnded("r", "final", "There.")),
    )
    assert shown(*pieces) == (
        'Let me look.\n· look q="é" n=1\n· look failed: no such thing\n· wait\n\nThere.\n\n'
    )  # fmt: skip


def test_a_line_beside_is_cut_where_the_terminal_ends() -> None:
    assert shown(ToolUse("r", "look", {"q": "x" * 100}), width=20) == f'· look q="{"x" * 9}…\n'
    assert shown(ToolUse("r", "look", ["日" * 20]), width=20) == '· look ["日日日日日…\n'
    assert len(shown(ToolUse("r", "12345678"), width=10)) == len(shown(ToolUse("r", "123456789"), width=10))


@pytest.mark.parametrize(
    ("over", "text"),
    [
        (RunEnded("r", "error", "Half", "no model"), "Half\n· error: no model\n\n"),
        (RunEnded("r", "error", "Half"), "Half\n· error: no answer\n\n"),
        (RunEnded("r", "aborted", "Half"), "Half\n· stopped\n\n"),
    ],
)
def test_other_ends(over: RunEnded, text: str) -> None:
    assert shown(TextDelta("r", "Half"), over) == text


def test_an_answer_that_is_written_anew() -> None:
    assert shown(TextDelta("r", "One"), MessageRestarted("r"), TextDelta("r", "Two "), RunEnded("r", "final", "")) == (
        "One\n· written anew:\nTwo\n\n"
    )


def test_a_question_hangs_below_its_mark() -> None:
    assert shown(Question("r", "one two three\nfour"), width=12) == "› one two\n  three\n  four\n"


def test_a_note_may_come_in_the_middle_of_a_word() -> None:
    renderer = Renderer(lambda: 40, False)
    text = (
        renderer.render(TextDelta("r", "One two thr")) + renderer.note("lost") + renderer.render(TextDelta("r", "ee "))
    )
    assert text == "One two\n· lost\nthree"
    assert not renderer.at_line_start and renderer.to_line_start() == "\n" and renderer.at_line_start


def test_a_note_does_not_end_a_code_block() -> None:
    renderer = Renderer(lambda: 10, False)
    text = (
        renderer.render(TextDelta("r", "```\nx = 1\n"))
        + renderer.note("lost")
        + renderer.render(TextDelta("r", "y = 1 + 2 + 3 + 4\n"))
    )
    assert text == "```\nx = 1\n· lost\ny = 1 + 2 + 3 + 4\n"


def test_what_comes_from_elsewhere_does_not_steer_the_terminal() -> None:
    evil = "a\x1b[2Jb"
    renderer = Renderer(lambda: 80, False)
    texts = [
        renderer.header(evil, evil),
        renderer.error(evil),
        renderer.line(evil),
        renderer.question(evil),
        renderer.note(evil),
    ]
    texts += [
        renderer.render(TextDelta("r", evil)),
        renderer.finish(),
        renderer.past_messages([PastMessage("assistant", evil, error=evil)]),
    ]
    assert "\x1b" not in "".join(texts)


def test_the_header_leaves_out_what_is_not_known() -> None:
    assert Renderer(lambda: 80, False).header("", "main", "ws://x") == "main · ws://x\n"


ROWS = [
    PastMessage("user", "Why?"),
    PastMessage("assistant", "Let me look.", tools=("look", "read")),
    PastMessage("toolResult", "x"),
    PastMessage("assistant", "\n".join(f"line {number}" for number in range(5))),
]


def test_what_was_said_before() -> None:
    renderer = Renderer(lambda: 40, False)
    assert renderer.past_messages(ROWS, None) == (
        "› Why?\nLet me look.\n· look\n· read\n\nline 0\nline 1\nline 2\nline 3\nline 4\n\n"
    )
    assert renderer.past_messages(ROWS[3:], 5) == renderer.past_messages(ROWS[3:], None)
    assert renderer.past_messages(ROWS[3:], 4) == "line 0\nline 1\nline 2\nline 3\n· 1 more lines: /history\n\n"
    assert renderer.past_messages([PastMessage("assistant", "", error="429")]) == "· error: 429\n\n"


def test_colours_are_only_colours() -> None:
    pieces = (Question("r", "Why?"), TextDelta("r", "**So** "), ToolUse("r", "look"), RunEnded("r", "error", "", "x"))
    coloured = shown(*pieces, colour=True)
    assert ANSI.sub("", coloured) == shown(*pieces)
    assert coloured != shown(*pieces)

import re

import pytest

from gateway.cli.conversation.events import Begun, Next, Over, PastMessage, Piece, Question, Restarted, ToolUse, Words
from gateway.cli.conversation.renderer import Renderer

ANSI = re.compile(r"\x1b\[\d+m")


def shown(*pieces: Piece, width: int = 40, colour: bool = False) -> str:
    paper = Renderer(lambda: width, colour)
    return "".join(map(paper.show, pieces))


def test_an_answer() -> None:
    assert shown(Begun("r"), Words("r", "One t"), Words("r", "wo"), Over("r", "final", "One two")) == "One two\n\n"


def test_an_answer_that_ends_its_line_itself() -> None:
    assert shown(Words("r", "One\n"), Over("r", "final", "One\n")) == "One\n\n"


def test_messages_stand_apart_and_tools_have_a_line() -> None:
    pieces = (
        *(
            Words("r", "Let me look."),
            ToolUse("r", "look", {"q": "é", "n": 1}),
            ToolUse("r", "look", error="no\nsuch thing"),
        ),
        *(ToolUse("r", "wait"), Next("r"), Words("r", "There."), Over("r", "final", "There.")),
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
        (Over("r", "error", "Half", "no model"), "Half\n· error: no model\n\n"),
        (Over("r", "error", "Half"), "Half\n· error: no answer\n\n"),
        (Over("r", "aborted", "Half"), "Half\n· stopped\n\n"),
    ],
)
def test_other_ends(over: Over, text: str) -> None:
    assert shown(Words("r", "Half"), over) == text


def test_an_answer_that_is_written_anew() -> None:
    assert shown(Words("r", "One"), Restarted("r"), Words("r", "Two "), Over("r", "final", "")) == (
        "One\n· written anew:\nTwo\n\n"
    )


def test_a_question_hangs_below_its_mark() -> None:
    assert shown(Question("r", "one two three\nfour"), width=12) == "› one two\n  three\n  four\n"


def test_a_note_may_come_in_the_middle_of_a_word() -> None:
    paper = Renderer(lambda: 40, False)
    text = paper.show(Words("r", "One two thr")) + paper.note("lost") + paper.show(Words("r", "ee "))
    assert text == "One two\n· lost\nthree"
    assert not paper.fresh and paper.turn() == "\n" and paper.fresh


def test_a_note_does_not_end_a_code_block() -> None:
    paper = Renderer(lambda: 10, False)
    text = paper.show(Words("r", "```\nx = 1\n")) + paper.note("lost") + paper.show(Words("r", "y = 1 + 2 + 3 + 4\n"))
    assert text == "```\nx = 1\n· lost\ny = 1 + 2 + 3 + 4\n"


def test_what_comes_from_elsewhere_does_not_steer_the_terminal() -> None:
    evil = "a\x1b[2Jb"
    paper = Renderer(lambda: 80, False)
    texts = [paper.header(evil, evil), paper.wrong(evil), paper.line(evil), paper.question(evil), paper.note(evil)]
    texts += [paper.show(Words("r", evil)), paper.rest(), paper.recall([PastMessage("assistant", evil, error=evil)])]
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
    paper = Renderer(lambda: 40, False)
    assert paper.recall(ROWS, None) == (
        "› Why?\nLet me look.\n· look\n· read\n\nline 0\nline 1\nline 2\nline 3\nline 4\n\n"
    )
    assert paper.recall(ROWS[3:], 5) == paper.recall(ROWS[3:], None)
    assert paper.recall(ROWS[3:], 4) == "line 0\nline 1\nline 2\nline 3\n· 1 more lines: /history\n\n"
    assert paper.recall([PastMessage("assistant", "", error="429")]) == "· error: 429\n\n"


def test_colours_are_only_colours() -> None:
    pieces = (Question("r", "Why?"), Words("r", "**So** "), ToolUse("r", "look"), Over("r", "error", "", "x"))
    coloured = shown(*pieces, colour=True)
    assert ANSI.sub("", coloured) == shown(*pieces)
    assert coloured != shown(*pieces)

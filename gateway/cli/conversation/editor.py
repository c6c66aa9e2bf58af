"""The prompt: a line that is edited, or several, with what was typed before and what can be typed."""

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth, Output

from gateway.cli.conversation.completer import is_command
from gateway.cli.conversation.renderer import MARK

MENU_LINES = 6
"""Kept free below the prompt while a command is typed."""


class Editor:
    def __init__(
        self,
        past: History,
        offers: Completer,
        colour: bool,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        """`input` and `output`: of the terminal, where they are not those of the process."""
        self._session: PromptSession[str] = PromptSession(
            [("bold ansicyan", MARK)],
            multiline=True,
            prompt_continuation=_continuation,
            history=past,
            completer=offers,
            complete_while_typing=Condition(lambda: is_command(self._session.default_buffer.text)),
            reserve_space_for_menu=MENU_LINES,
            key_bindings=_bindings(),
            enable_suspend=True,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            input=input,
            output=output,
        )

    async def read(self) -> str | None:
        """What was typed; None to leave."""
        try:
            return await self._session.prompt_async(handle_sigint=False)
        except EOFError:
            return None


def _continuation(width: int, line: int, wrapped: int) -> StyleAndTextTuples:
    return [("", " " * width)]


def _bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.char_before_cursor == "\\" and buffer.document.is_cursor_at_the_end:
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        elif buffer.text.strip():
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add("c-c")
    def clear(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=EOFError)

    return keys

"""The prompt: an editor for one line or several, with history and completion."""

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
"""Lines kept free below the prompt for the completion menu."""


class Editor:
    def __init__(
        self,
        history: History,
        completer: Completer,
        colour: bool,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        """`input` and `output`: the terminal, if it is not that of the process."""
        self._session: PromptSession[str] = PromptSession(
            [("bold ansicyan", MARK)],
            multiline=True,
            prompt_continuation=_continuation,
            history=history,
            completer=completer,
            complete_while_typing=Condition(lambda: is_command(self._session.default_buffer.text)),
            reserve_space_for_menu=MENU_LINES,
            key_bindings=_bindings(),
            enable_suspend=True,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            input=input,
            output=output,
        )

    async def read(self) -> str | None:
        """The text that was typed; None if the user leaves."""
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

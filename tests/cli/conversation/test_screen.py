import asyncio
import io

from gateway.cli.conversation.screen import Screen
from gateway.terminal.spinner import Spinner


def test_above_a_prompt_only_whole_lines_stand() -> None:
    out = io.StringIO()
    screen = Screen(Spinner("thinking", out=io.StringIO()), out)

    async def put(*texts: str) -> str:
        before = len(out.getvalue())
        for text in texts:
            await screen.put(text)
        return out.getvalue()[before:]

    async def test() -> None:
        assert await put("One ", "two\nthree") == "One two\nthree"
        with screen.prompt():
            assert await put(" four") == ""
            assert await put("\nfive\nsi") == " four\nfive\n"
        assert out.getvalue().endswith("five\nsi")
        assert await put("x") == "x"

    asyncio.run(test())

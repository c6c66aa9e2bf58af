"""What the model provider of the tests is asked to do: words in the prompt or in the model's id.

`!name` or `!name=value` in the last message of the user; `+name` or `+name=value` in the model's id, as in `m1+slow=9`:

    words=N      answer N numbered words (`w1 w2 …`) instead of repeating the prompt
    slow=MS      wait so long before each piece
    think        reason first, in two pieces
    tags         reason first, within <think> and </think> in the text, as some local models do
    tool=NAME    call the offered tool whose name ends in NAME, and then say what it gave; with args={"JSON": 1}
    loop         call the tool again after each result
    length       end for lack of tokens
    emoji        reason and answer in pieces that begin and end in the middle of a character, with halves that have no
                 other half; a call has one in its arguments
    empty        end without having said anything
    filter       end by the content filter
    break=N      close the connection after N pieces, without an end
    half=N       close the connection in the middle of piece N + 1
    cut=N        end the body properly after N pieces, but without the words that end an answer
    hang=N       send nothing more after N pieces
    error=N      send an error event after N pieces
    silent       take the request and answer nothing
    html         answer 200 with a web page
    type         answer with a wrong content type
    garbage=N    send what is no JSON after N pieces
    401 403 404 429 500 502 503 529   answer with this status; wait=S adds Retry-After
    quota        429 because the account is empty
    badtool=NAME 400 as long as a tool is offered whose name ends in NAME
    context      400 because the conversation is too long
    times=N      do all of the faults above only for the first N requests that ask for them with the same model
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

WORD = re.compile(r"(?:^|(?<=\s))!(\w+)(?:=(\S+))?")
IN_MODEL = re.compile(r"\+(\w+)(?:=([^+]+))?")
FAULTS = ("break", "half", "cut", "hang", "error", "silent", "html", "type", "garbage", "quota", "context")
STATUSES = ("401", "403", "404", "429", "500", "502", "503", "529")


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    args: dict[str, Any]


@dataclass
class Script:
    """The directions for one answer."""

    wishes: dict[str, str]
    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    call: Call | None = None
    prompt_tokens: int = 0

    @property
    def finish(self) -> str:
        """`stop`, `length`, `tool` or `filter`."""
        if self.call is not None:
            return "tool"
        return next((word for word in ("length", "filter") if word in self.wishes), "stop")

    @property
    def completion_tokens(self) -> int:
        return len(self.text) + len(self.thinking)

    def number(self, word: str, default: float = 0) -> float:
        return float(self.wishes.get(word) or default)

    @property
    def status(self) -> int | None:
        return next((int(status) for status in STATUSES if status in self.wishes), None)


@dataclass
class Heard:
    """A request in the words of no API in particular."""

    model: str
    prompt: str
    """The last message of the user, without what tools gave."""
    results: list[str]
    """What tools gave since then."""
    tools: list[str]
    images: int = 0


def wishes_of(heard: Heard) -> dict[str, str]:
    return dict([*IN_MODEL.findall(heard.model), *WORD.findall(heard.prompt)])


def write(heard: Heard, *, well: bool) -> Script:
    """The answer to a request, without its faults when it is `well`."""
    wishes = wishes_of(heard)
    if well:
        wishes = {name: value for name, value in wishes.items() if name not in (*FAULTS, *STATUSES)}
    script = Script(wishes, prompt_tokens=len(heard.prompt.split()))
    if "think" in wishes:
        script.thinking = ["Let me ", "see."]
    if "emoji" in wishes:
        script.thinking = ["hm \ud83d", "\ude00 \ude00"]
    if "empty" in wishes:
        return script
    if "tool" in wishes and (not heard.results or "loop" in wishes):
        name = next((tool for tool in heard.tools if tool.endswith(wishes["tool"])), wishes["tool"])
        script.call = Call(f"call_{len(heard.results) + 1}", name, json.loads(wishes.get("args") or "{}"))
        script.text = ["Looking. "]
        if "emoji" in wishes:
            script.call = Call(script.call.id, name, {"at": "x\ud83d", "\ude00": ["\ud83d\ude00"]})
            script.text = ["Looking \ud83d"]
    elif heard.results:
        script.text = _words(f"The tool said: {heard.results[-1]}")
    elif "emoji" in wishes:
        script.text = ["ok \ud83d", "\ude00 bye", " \ude00.", " \ud83d"]
    elif "words" in wishes:
        script.text = [f"w{number} " for number in range(1, int(wishes["words"]) + 1)]
    elif "tags" in wishes:
        script.text = ["<think>", "Let me ", "see.", "</think>", "\n\n", "It ", "is."]
    else:
        plain = " ".join(WORD.sub("", heard.prompt).split())
        images = f" with {heard.images} images" if heard.images else ""
        script.text = _words(f"You said{images}: {plain}")
    return script


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)

"""Whether what a chat showed after something was done in it is what a user would call good, each word once."""

from dataclasses import dataclass, replace

from conformance.sight import Sight

Message = tuple[str, str]
"""The role, and the text."""


@dataclass(frozen=True)
class Act:
    """An act in a chat, and what is awaited after it."""

    name: str
    """The name of an act of chats.mjs."""
    label: str
    texts: tuple[str, ...] = ()
    """The text that is typed."""
    ends: tuple[Message, ...] = ()
    """The last messages that are then shown; an assistant's text "…" stands for the beginning of `whole`."""
    whole: str = ""
    """The answer, whole, of which an unfinished one shows the beginning."""
    shows: tuple[str, ...] = ()
    """Texts that must be somewhere on the page."""
    hides: tuple[str, ...] = ()
    """Lines that the page must not have."""
    error: str = ""
    """A piece of the error that must be shown, for an act that fails on purpose."""


@dataclass(frozen=True)
class Scene:
    """One act, and the chat when it had come to rest."""

    act: Act
    sight: Sight
    messages: tuple[Message, ...]
    grown: tuple[str, ...] = ()
    """The answer as it was seen while it was written."""
    broken: tuple[str, ...] = ()
    """What was awaited in vain: an answer's beginning or end, or a field that takes text."""

    @property
    def version(self) -> str:
        return self.sight.version

    @property
    def good(self) -> bool:
        return not self.trouble

    @property
    def trouble(self) -> list[str]:
        """Why it is not good; empty for a good one."""
        reasons = [f"not so: {each}" for each in self.broken]
        reasons += self._about_messages()
        reasons += [f"while it was written: {_short(each)}" for each in self.grown if not self._is_beginning(each)]
        seen = "\n".join((*self.sight.lines, *self.sight.alerts))
        reasons += [f"not on the page: {each}" for each in (*self.act.shows, self.act.error) if each not in seen]
        reasons += [f"still on the page: {each}" for each in self.act.hides if each in self.sight.lines]
        return [*reasons, *self._without_the_wanted_error().trouble]

    def _about_messages(self) -> list[str]:
        wanted = self.act.ends
        shown = self.messages[-len(wanted) :] if wanted else ()
        if len(shown) == len(wanted) and all(self._is(*pair) for pair in zip(shown, wanted, strict=True)):
            return []
        return [f"shown: {who}: {_short(text)}" for who, text in shown] or ["no message is shown"]

    def _is(self, shown: Message, wanted: Message) -> bool:
        if shown[0] != wanted[0]:
            return False
        if wanted[1] != "…":
            return _plain(shown[1]) == _plain(wanted[1])
        return 0 < len(_plain(shown[1])) < len(_plain(self.act.whole)) and self._is_beginning(shown[1])

    def _is_beginning(self, text: str) -> bool:
        return _plain(self.act.whole).startswith(_plain(text))

    def _without_the_wanted_error(self) -> Sight:
        if not self.act.error:
            return self.sight
        lines = tuple(each for each in self.sight.lines if self.act.error not in each)
        alerts = tuple(each for each in self.sight.alerts if self.act.error not in each)
        return replace(self.sight, lines=lines, alerts=alerts)


def _plain(text: str) -> str:
    """The text on one line, as wrapping does not matter."""
    return " ".join(text.split())


def _short(text: str) -> str:
    plain = _plain(text)
    return plain if len(plain) <= 120 else f"{plain[:60]} … {plain[-57:]}"

"""The text of a run for readers that each read at their own pace, such as an HTTP answer.

The text is kept once, and each reader has a position in it. An answer that breaks off and is begun again (`Discarded`,
or another agent) cannot be taken back from readers. While it says the same again, its readers wait. Where it says
something else, reading fails with `Broken` for those that have read further.

A reader can go on in another process from the `Cursor` that it has left. The text begins there with what is stored of
the run, and the cursor carries what was not read of it.
"""

from collections.abc import Callable

from msgspec import Struct

from gateway.aio.flag import Flag
from gateway.link.messages import Discarded, Event, Said, Text
from gateway.runs.active import ActiveRun
from gateway.runs.audience import RunListener
from gateway.runs.written import GrowingText
from gateway.sessions.records import Run

GAP = "\n\n"
"""Separates two messages of one run; tools ran in between."""


class Broken(Exception):
    """The answer was begun again and says something else than what was read."""


class Cursor(Struct, frozen=True, omit_defaults=True):
    """Where a reader is. It crosses a restart: fields keep their names."""

    since: int = 0
    """The number of the event up to which `rest` is the text; 0 is the beginning."""
    rest: str = ""
    """Text up to there that is not read."""
    ahead: str = ""
    """Text beyond there that was read, of an answer that has been begun again since."""
    broken: bool = False
    """What was read does not hold."""


BEGINNING = Cursor()


class RunText:
    """The text of one run: all its messages, separated by `GAP`."""

    def __init__(self) -> None:
        self.text = GrowingText()
        self.seq: int | None = None
        """The number of the last event that is in the text; None while nothing is known of the run."""
        self.over = False
        self.run: Run | None = None
        """The run as it ended."""
        self.readers: set[Reader] = set()
        self.changed = Flag()
        self._begin = 0
        """Where the message that is being written begins, the gap before it included."""
        self._open = False
        """Whether a message is being written."""
        self._expected = ""
        """What readers were given of the message before it was begun again, as long as it says the same again."""

    def seed(self, live: ActiveRun) -> None:
        """Begin with what is known of the run. Of its complete messages only the last one is known."""
        for text in filter(None, (live.answer, live.text)):
            self._close()
            self._add(text)
        if not live.text:
            self._close()
        self._now(live.seq)

    def apply(self, event: Event) -> None:
        match event.what:
            case Text(delta=delta):
                self._add(delta)
            case Discarded():
                self._void(self._begin)
            case Said(message=message) if message.get("role") == "assistant":
                self._close()
        self._now(event.seq)

    def restart(self, live: ActiveRun) -> None:
        """Another agent begins the whole run again."""
        for reader in self.readers:
            reader.broken |= reader.position is None  # what they have read is not known here
        self._void(0)
        self._now(live.seq)

    def end(self, run: Run | None) -> None:
        """The run is over; None for one that was never accepted."""
        self.over, self.run = True, run
        if self.seq is None:
            self._add(run.answer if run else "")
            self._now(run.seq if run else 0)
        self._close()
        self._now(self.seq or 0)

    def expect(self, ahead: str) -> None:
        """A reader has read `ahead` beyond the text: it is expected to be said again."""
        self._expected = max(self._expected, self._from(self._begin) + ahead, key=len)

    def unread_after(self, position: int) -> str:
        """What a reader at this position has read beyond the text."""
        return self._expected[len(self.text) - self._begin : max(0, position - self._begin)]

    def _from(self, start: int) -> str:
        return self.text.between(start, len(self.text))

    def _add(self, delta: str) -> None:
        if not self._open:
            delta = GAP + delta if len(self.text) else delta
            self._begin, self._open = len(self.text), True
        start = len(self.text)
        self.text.add(delta)
        if self._expected:
            at = start - self._begin
            before = self._expected[at : at + len(delta)]
            if not delta.startswith(before):
                self._break(start + _common(before, delta))
            elif len(self.text) - self._begin >= len(self._expected):
                self._expected = ""

    def _void(self, begin: int) -> None:
        """Take back the text from `begin` on."""
        self._expected = self.text.between(begin, self._begin) + max(self._expected, self._from(self._begin), key=len)
        self.text.cut(begin)
        self._begin, self._open = begin, False

    def _close(self) -> None:
        """The message is complete."""
        if self._expected:
            self._break(len(self.text))
        self._begin, self._open = len(self.text), False

    def _break(self, at: int) -> None:
        self._expected = ""
        for reader in self.readers:
            reader.broken |= reader.position is not None and reader.position > at

    def _now(self, seq: int) -> None:
        self.seq = seq
        for reader in self.readers:
            reader.locate()
        self.changed.set()
        self.changed.clear()


class Reader:
    """Reads the text of one run. You must `close` it."""

    def __init__(self, script: RunText, place: Cursor) -> None:
        self.broken = place.broken
        self.position: int | None = 0 if place == BEGINNING else None
        """Characters of the text that were read, or are in the rest; None until the text is as far as the cursor."""
        self._text = script
        self._place = place
        self._rest = place.rest
        script.readers.add(self)
        self.locate()

    def locate(self) -> None:
        """Find the position once the text is as far as the cursor."""
        seq = self._text.seq
        if self.position is None and seq is not None and seq >= self._place.since:
            self.broken |= seq > self._place.since  # where it was in what has been said since is not known
            self.position = len(self._text.text) + len(self._place.ahead)
            if self._place.ahead:
                self._text.expect(self._place.ahead)

    async def read(self, most: int) -> str:
        """Return the next characters, at most `most`; "" at the end. Raises Broken."""
        while not (piece := self._take(most)) and not self._text.over:
            await self._text.changed.wait()
        return piece

    async def ended(self) -> Run | None:
        """Return the run once it is over; None for one that was never accepted."""
        while not self._text.over:
            await self._text.changed.wait()
        return self._text.run

    def cursor(self) -> Cursor:
        """Where the reader is now."""
        if self.position is None:
            return Cursor(self._place.since, self._rest, self._place.ahead, self.broken)
        script, rest = self._text, self._rest + self._text.text.between(self.position, len(self._text.text))
        return Cursor(script.seq or 0, rest, script.unread_after(self.position), self.broken)

    def close(self) -> None:
        self._text.readers.discard(self)

    def _take(self, most: int) -> str:
        if self.broken:
            raise Broken
        if self._rest:
            piece, self._rest = self._rest[:most], self._rest[most:]
        elif self.position is None:
            piece = ""
        else:
            piece = self._text.text.between(self.position, self.position + most)
            self.position += len(piece)
        return piece


class RunTexts(RunListener):
    """Keeps the text of each run that has a reader, until the run is over."""

    def __init__(self, live: Callable[[str], ActiveRun | None]) -> None:
        self._live = live
        self._texts: dict[str, RunText] = {}

    def read(self, id: str, place: Cursor = BEGINNING) -> Reader:
        """A reader of the run from `place` on. Call `end_if_over` for a run that may be over already."""
        script = self._texts.get(id)
        if script is None:
            script = self._texts[id] = RunText()
            if (live := self._live(id)) is not None:
                script.seed(live)
        return Reader(script, place)

    def end_if_over(self, id: str, run: Run | None) -> None:
        """`run` is what is stored of it. It is for readers that came after its end was told."""
        if (run is None or not run.unfinished) and (script := self._texts.pop(id, None)) is not None:
            script.end(run)

    def begun(self, live: ActiveRun) -> None:
        if (script := self._texts.get(live.run.id)) is not None:
            script.seed(live)

    def happened(self, live: ActiveRun, event: Event) -> None:
        if (script := self._texts.get(live.run.id)) is not None:
            script.apply(event)

    def restarted(self, live: ActiveRun) -> None:
        if (script := self._texts.get(live.run.id)) is None:
            return
        if script.seq is None:
            script.seed(live)
        else:
            script.restart(live)

    def ended(self, run: Run, live: ActiveRun | None) -> None:
        self.end_if_over(run.id, run)


def _common(one: str, other: str) -> int:
    """How many characters are the same at the beginning of both."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))

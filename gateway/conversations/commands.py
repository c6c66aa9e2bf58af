"""Commands in a chat: what each does, and what it answers."""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from gateway.aio.tasks import Tasks
from gateway.config import models
from gateway.config.substitute import Lookup
from gateway.config.tree import ConfigTree
from gateway.conversations.sessions import SessionService
from gateway.conversations.slash import COMMANDS, Slash
from gateway.link.spec import COMMAND, spoken
from gateway.machine.clock import now_ms
from gateway.runs.ends import Announcing
from gateway.runs.service import Runs, StillActive
from gateway.sessions.records import Run, RunRequest
from gateway.sessions.store import Store


class Commands:
    def __init__(
        self,
        store: Store,
        runs: Runs,
        sessions: SessionService,
        tree: Callable[[], ConfigTree],
        environment: Lookup,
        tasks: Tasks,
        announcing: Announcing,
    ) -> None:
        """`tree`: the active config, resolved."""
        self._store = store
        self._runs = runs
        self._sessions = sessions
        self._tree = tree
        self._environment = environment
        self._tasks = tasks
        self._announcing = announcing
        self._doing: dict[str, asyncio.Task[tuple[Run, bool]]] = {}
        """Commands that are being carried out, by the ids of their runs."""

    async def do(self, id: str, key: str, request: RunRequest, command: Slash) -> tuple[Run, bool]:
        """Carry out a command, and store its answer. Returns its run, and False if the id is known already.

        The caller has checked that the client may. Raises SendDenied, QueueFull and StorageFailed.
        """
        await self._sessions.check_may_send(key)
        if (doing := self._doing.get(id)) is None:
            doing = self._doing[id] = self._tasks.create(self._do(id, key, request, command), f"command {id}")
            doing.add_done_callback(lambda _: self._doing.pop(id))
        return await asyncio.shield(doing)

    async def _do(self, id: str, key: str, request: RunRequest, command: Slash) -> tuple[Run, bool]:
        if (known := await self._store.run(id)) is not None:
            return known, False
        agent = self._sessions.agent(key)
        asked = replace(request, prompt=request.prompt | COMMAND)
        if command.name == "compact":
            return await self._runs.submit(id, key, agent, replace(asked, compact=command.argument))
        text = await self.carry_out(key, command)
        with self._announcing():
            run, fresh = await self._store.answer(id, key, agent, asked, spoken(text, now_ms()), now_ms())
            if fresh:
                self._runs.tell_ended(run)
        return run, fresh

    async def carry_out(self, key: str, command: Slash) -> str:
        """Return the answer to a command. Raises StorageFailed."""
        match command.name:
            case "status":
                return await self._status(key)
            case "new":
                return await self._new(key)
            case "model":
                return await self._model(key, command.argument)
            case "models":
                found = models.list_models(self._tree(), self._environment)
                return "Models:\n" + "\n".join(_model_line(each) for each in found)
            case "think":
                return await self._think(key, command.argument.lower())
            case _:
                return "Commands:\n" + "\n".join(f"- /{name}: {what}" for name, what in COMMANDS.items())

    async def _new(self, key: str) -> str:
        try:
            await self._sessions.reset(key)
        except StillActive:
            return "Not begun anew: the answer that is being written does not end. Try again in a moment."
        return "New session. What was said before is forgotten."

    async def _status(self, key: str) -> str:
        session = await self._store.session(key)
        tree = self._tree()
        model = models.session_model(tree, self._sessions.agent(key), session.entry.get("model") if session else None)
        window = models.window(tree, model)
        lines = [f"Session: {key}", f"Model: {model}"]
        if session is not None:
            full = f" of {window} ({100 * session.total // window} %)" if window else ""
            lines.append(f"Context: {session.total} tokens{full}")
            lines.append(f"Tokens: {session.input} in, {session.output} out; {session.messages} messages")
            lines.append(f"Compactions: {session.compactions}")
            lines.append(f"Thinking: {session.entry.get('thinkingLevel') or 'off'}")
        waiting = len(self._runs.waiting(key))
        if running := self._runs.running(key):
            lines.append(f"Running: {running}" + (f"; {waiting} wait" if waiting else ""))
        return "\n".join(lines)

    async def _model(self, key: str, wanted: str) -> str:
        if not wanted:
            return await self._status(key)
        if wanted.lower() in ("default", "reset"):
            await self._set(key, "model", None)
            return "The model is the config's again."
        if problem := self._sessions.refuse_model(key, wanted):
            return f"Not changed: {problem}"
        await self._set(key, "model", wanted)
        return f"Model: {wanted}"

    async def _think(self, key: str, level: str) -> str:
        if level not in models.THINKING:
            return f"Levels: {', '.join(models.THINKING)}"
        await self._set(key, "thinkingLevel", None if level == "off" else level)
        return f"Thinking: {level}"

    async def _set(self, key: str, name: str, value: str | None) -> None:
        def change(entry: dict[str, object]) -> dict[str, object]:
            rest = {each: known for each, known in entry.items() if each != name}
            return rest if value is None else {**rest, name: value}

        await self._sessions.patch(key, change)


def _model_line(listed: models.Listed) -> str:
    remarks = (*listed.tags, *(() if listed.available else ("cannot be asked yet",)))
    return f"- {listed.ref}" + (f" ({', '.join(remarks)})" if remarks else "")

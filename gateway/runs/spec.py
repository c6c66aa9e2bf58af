"""Makes the spec of a run, from the config of the moment in which it begins and from what was said before.

So a model or a key that changes in the config file needs no restart.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gateway.config.compaction import MAX_INSTRUCTIONS, compaction
from gateway.config.models import bounds, chain, environment, thinking
from gateway.config.servers import servers, unusable
from gateway.config.substitute import Lookup
from gateway.config.tool_policy import rules
from gateway.config.tree import ConfigTree
from gateway.link.spec import Spec
from gateway.machine import inherited
from gateway.runs import workspace
from gateway.runs.prompt import system_prompt
from gateway.sessions.records import ModelContext, Run, Session
from gateway.sessions.store import Store


class Specifier:
    def __init__(self, store: Store, state: Path, tree: Callable[[], ConfigTree], environment: Lookup) -> None:
        """`tree`: the active config, resolved."""
        self._store = store
        self._state = state
        self._tree = tree
        self._environment = environment

    async def __call__(self, run: Run) -> Spec:
        """Raises config.tree.Unusable and StorageFailed."""
        tree, request = self._tree(), run.request
        place = workspace.folder(tree, self._state, run.agent)
        (session, past), (files, there) = await asyncio.gather(
            self._past(run), asyncio.to_thread(lambda: (workspace.read(place), place.is_dir()))
        )
        entry: Mapping[str, Any] = session.entry if session else {}
        lookup = environment(tree, self._environment)
        models = [
            replace(model, tools=rules(tree, run.agent, model.provider, model.id))
            for model in chain(tree, self._environment, run.agent, request.model or entry.get("model"))
        ]
        if not past.messages and request.context:
            past = ModelContext(request.context, [])  # of an HTTP client, which keeps it itself
        limits = bounds(tree)
        if request.timeout_ms:
            limits = replace(limits, timeout_ms=request.timeout_ms)
        system = (system_prompt(tree, run.agent, files), request.system)
        level = request.thinking or entry.get("thinkingLevel") or thinking(tree, run.agent)
        how = compaction(tree, self._environment, run.agent, level)
        if request.compact is not None:
            how, models = replace(how, only=True, instructions=request.compact[:MAX_INSTRUCTIONS], models=models), []
        told = [not message.get("command") for message in past.messages]
        return Spec(
            session=run.session,
            agent=run.agent,
            prompt=request.prompt,
            models=models,
            history=[message for message, tell in zip(past.messages, told, strict=True) if tell],
            ids=[id for id, tell in zip(past.ids, [*told, True], strict=False) if tell],
            compaction=how,
            system="\n\n".join(part for part in system if part),
            thinking=level,
            servers=servers(tree) if request.compact is None else [],
            unusable=unusable(tree) if request.compact is None else {},
            environment={name: value for name in inherited.NAMES if (value := lookup(name)) is not None},
            workspace=str(place) if there else None,
            conversation=run.transcript or "",
            bounds=limits,
        )

    async def _past(self, run: Run) -> tuple[Session | None, ModelContext]:
        return await self._store.past(run.session, run.id) if run.request.keeps else (None, ModelContext([], []))

"""All methods that this gateway answers. A new one is a function in a module that MODULES names."""

from gateway.rpc.methods import (
    agent,
    agent_changes,
    agent_files,
    agents,
    approvals,
    chat,
    commands,
    config,
    config_schema,
    config_write,
    cron,
    devices,
    features,
    health,
    history,
    lifecycle,
    logs,
    models,
    session_changes,
    session_lookup,
    session_patch,
    sessions,
    system,
    usage,
)
from gateway.rpc.methods.absent import ABSENT
from gateway.rpc.registry import Method

MODULES = (
    *(system, health, lifecycle, logs, config, config_schema, config_write, devices),
    *(agents, agent_changes, agent_files, models, commands, features, approvals, cron),
    *(sessions, session_lookup, session_patch, session_changes, history, chat, agent, usage),
)

METHODS: tuple[Method, ...] = (
    # A module may import another one's method: it is listed once.
    *dict.fromkeys(each for module in MODULES for each in vars(module).values() if isinstance(each, Method)),
    *ABSENT,
)

"""Every method that this gateway answers. Adding one is: write it in a module here, and name it in the list."""

from gateway.rpc.methods.agent import agent, agent_wait
from gateway.rpc.methods.agent_changes import agents_create, agents_delete, agents_update
from gateway.rpc.methods.agent_files import agents_files_get, agents_files_list, agents_files_set
from gateway.rpc.methods.agents import agent_identity_get, agents_list
from gateway.rpc.methods.approvals import (
    approval_history,
    exec_approval_grants_list,
    exec_approval_list,
    exec_approvals_get,
    openclaw_approval_list,
    plugin_approval_list,
    question_list,
)
from gateway.rpc.methods.channels import channels_pairing_list, channels_status
from gateway.rpc.methods.chat import chat_abort, chat_inject, chat_metadata, chat_send
from gateway.rpc.methods.commands import commands_list
from gateway.rpc.methods.config import config_get
from gateway.rpc.methods.config_schema import config_schema, config_schema_lookup
from gateway.rpc.methods.config_write import config_apply, config_patch, config_set
from gateway.rpc.methods.cron import cron_list, cron_runs, cron_status
from gateway.rpc.methods.devices import (
    device_pair_approve,
    device_pair_list,
    device_pair_reject,
    device_pair_remove,
    device_token_revoke,
    device_token_rotate,
)
from gateway.rpc.methods.features import (
    doctor_memory_status,
    migrations_memory_plan,
    plugins_catalog_browse,
    plugins_list,
    talk_catalog,
    themes_list,
    tools_catalog,
    tools_github_status,
    transcripts_list,
    web_search_status,
)
from gateway.rpc.methods.health import health, status
from gateway.rpc.methods.history import chat_history, chat_startup
from gateway.rpc.methods.lifecycle import gateway_reload, gateway_restart_preflight, gateway_restart_request
from gateway.rpc.methods.logs import logs_tail
from gateway.rpc.methods.models import models_auth_status, models_list
from gateway.rpc.methods.nodes import node_list, node_pair_list
from gateway.rpc.methods.session_changes import (
    sessions_abort,
    sessions_compact,
    sessions_create,
    sessions_delete,
    sessions_reset,
)
from gateway.rpc.methods.session_lookup import (
    progress_card_get,
    sessions_branches_list,
    sessions_preview,
    sessions_resolve,
)
from gateway.rpc.methods.session_patch import sessions_patch
from gateway.rpc.methods.sessions import (
    sessions_describe,
    sessions_list,
    sessions_messages_subscribe,
    sessions_messages_unsubscribe,
    sessions_subscribe,
)
from gateway.rpc.methods.skills import skills_library_list, skills_proposals_list, skills_search, skills_status
from gateway.rpc.methods.system import last_heartbeat, set_heartbeats, system_event, system_presence, wake
from gateway.rpc.methods.update import system_info, update_status, users_list, users_self
from gateway.rpc.methods.usage import sessions_usage, usage_cost, usage_status
from gateway.rpc.methods.work import artifacts_list, diagnostics_lanes, environments_list, tasks_list, worktrees_list

METHODS = (
    health,
    status,
    config_get,
    config_set,
    config_apply,
    config_patch,
    config_schema,
    config_schema_lookup,
    system_presence,
    last_heartbeat,
    system_event,
    set_heartbeats,
    wake,
    agents_list,
    agents_create,
    agents_update,
    agents_delete,
    agents_files_list,
    agents_files_get,
    agents_files_set,
    agent_identity_get,
    models_list,
    models_auth_status,
    skills_status,
    skills_library_list,
    skills_proposals_list,
    skills_search,
    channels_status,
    channels_pairing_list,
    node_list,
    node_pair_list,
    device_pair_list,
    device_pair_approve,
    device_pair_reject,
    device_pair_remove,
    device_token_rotate,
    device_token_revoke,
    sessions_list,
    sessions_preview,
    sessions_resolve,
    sessions_patch,
    sessions_reset,
    sessions_delete,
    sessions_compact,
    sessions_create,
    sessions_abort,
    sessions_subscribe,
    sessions_messages_subscribe,
    sessions_messages_unsubscribe,
    sessions_describe,
    sessions_branches_list,
    progress_card_get,
    chat_history,
    chat_startup,
    chat_metadata,
    commands_list,
    chat_send,
    chat_abort,
    chat_inject,
    agent,
    agent_wait,
    cron_status,
    cron_list,
    cron_runs,
    usage_status,
    usage_cost,
    sessions_usage,
    exec_approvals_get,
    exec_approval_list,
    exec_approval_grants_list,
    plugin_approval_list,
    openclaw_approval_list,
    approval_history,
    question_list,
    tasks_list,
    artifacts_list,
    diagnostics_lanes,
    environments_list,
    worktrees_list,
    plugins_list,
    plugins_catalog_browse,
    talk_catalog,
    themes_list,
    doctor_memory_status,
    tools_catalog,
    migrations_memory_plan,
    tools_github_status,
    transcripts_list,
    web_search_status,
    update_status,
    system_info,
    users_self,
    users_list,
    gateway_reload,
    gateway_restart_preflight,
    gateway_restart_request,
    logs_tail,
)

"""Names of OpenClaw's config keys that this gateway does not use: accepted in silence, never taken for misspellings.

Only what stands beside keys of ours matters here: inside a section that we do not implement, every key is fine.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPENCLAW_KEYS: dict[str, frozenset[str]] = {
    "": _words("""
        $schema accessGroups acp agent agents approvals attachments audio auth bindings broadcast browser canvasHost
        channels cloudWorkers commands cron desktop diagnostics discovery env hooks identity mcp media memory messages
        meta models nodeHost plugins routing secrets security session skills surfaces talk telemetry tools transcripts
        tts tui ui update web wizard worktreeAcceleration worktreeRoot
        """),
    "gateway": _words("""
        allowRealIpFallback channelHealthCheckMinutes channelMaxRestartsPerHour channelStaleEventThresholdMinutes
        cliAgents handshakeTimeoutMs host mode nodes portals publicOrigin push remote roles tailscale terminal tls
        tools webchat
        """),
    "gateway.auth": _words("allowTailscale rateLimit"),
    "gateway.auth.trustedProxy": _words("cloudflareAccessOidc"),
    "gateway.auth.trustedProxy.deviceAutoApprove": _words(""),
    "gateway.controlUi": _words("""
        allowExternalEmbedUrls automaticallyFetchFavicons communityInvite
        dangerouslyAllowHostHeaderOriginFallback embedSandbox environment experimental
        github root sessionObserver
        """),
    "gateway.http": _words("securityHeaders"),
    "gateway.http.endpoints": _words("responses"),
    "gateway.http.endpoints.chatCompletions": _words("images maxBodyBytes maxImageParts maxTotalImageBytes"),
    "gateway.http.limits": _words(""),
    "gateway.reload": _words(""),
    "logging": _words("consoleStyle redactPatterns redactSensitive"),
}
"""By the dotted path of the object in which they stand."""

READ: dict[str, frozenset[str] | None] = {
    "agents": _words("defaults list entries"),
    "agents.defaults": _words("""
        bootstrapMaxChars bootstrapTotalMaxChars contextInjection contextTokens model models timeoutSeconds userTimezone
        workspace
        """),
    "agents.list": None,
    "agents.entries": None,
    "env": None,
    "mcp": _words("servers"),
    "models": _words("providers"),
    "session": _words("mainKey scope"),
    "ui": _words("assistant"),
}
"""Sections that are used though they have no types in `schema`, and their keys that are; None: whatever stands there.

They are read when they are needed (`catalog`, `models`, `servers`), so nothing in them is an error of the config.
"""


def is_read(path: str) -> bool:
    """Whether what stands at a dotted path is used though it has no type in `schema`."""
    keys = path.split(".")
    if keys[0] not in READ:
        return False
    for length in range(1, len(keys)):
        used = READ.get(".".join(keys[:length]))
        if used is None:  # whatever stands there
            return True
        if keys[length] not in used:
            return False
    return True

"""Names of OpenClaw's config keys that this gateway does not use: accepted in silence, never taken for misspellings.

Only what stands beside keys of ours matters here: inside a section that we do not implement, every key is fine.
"""

OPENCLAW_KEYS: dict[str, frozenset[str]] = {
    "": frozenset(
        """
        $schema accessGroups acp agent agents approvals attachments audio auth bindings broadcast browser canvasHost
        channels cloudWorkers commands cron desktop diagnostics discovery env hooks identity mcp media memory messages
        meta models nodeHost plugins routing secrets security session skills surfaces talk telemetry tools transcripts
        tts tui ui update web wizard worktreeAcceleration worktreeRoot
        """.split()
    ),
    "gateway": frozenset(
        """
        allowRealIpFallback channelHealthCheckMinutes channelMaxRestartsPerHour channelStaleEventThresholdMinutes
        cliAgents handshakeTimeoutMs host mode nodes portals publicOrigin push remote roles tailscale terminal tls
        token tools trustedProxies webchat
        """.split()
    ),
    "gateway.auth": frozenset("allowTailscale identityScopes rateLimit trustedProxy".split()),
    "gateway.controlUi": frozenset(
        """
        allowExternalEmbedUrls allowInsecureAuth allowedOrigins automaticallyFetchFavicons communityInvite
        dangerouslyAllowHostHeaderOriginFallback dangerouslyDisableDeviceAuth embedSandbox environment experimental
        github root sessionObserver
        """.split()
    ),
    "gateway.http": frozenset("endpoints securityHeaders".split()),
    "gateway.http.limits": frozenset(),
    "gateway.reload": frozenset(),
    "logging": frozenset("consoleStyle maxFileBytes redactPatterns redactSensitive".split()),
}
"""By the dotted path of the object in which they stand."""

"""The config as types: every value that this gateway uses, with its bounds, its doc and what a change of it needs.

The keys are OpenClaw's (camelCase in the file, snake_case here). A field without a doc and an effect is a failing test,
so that no setting can be added without deciding what a reload does with it.
"""

from typing import Annotated, Literal

from msgspec import Struct

from gateway.config.setting import HOT, RESTART, UNIT, BasePath, Header, Text, Texts, rule

Bind = Literal["auto", "loopback", "lan", "custom", "tailnet"]
AuthMode = Literal["none", "token", "password", "trusted-proxy"]
ReloadMode = Literal["off", "hot", "restart", "hybrid"]
Level = Literal["trace", "debug", "info", "warn", "error", "fatal", "silent"]
OperatorScope = Literal[
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.sessions.read",
    "operator.sessions.write",
    "operator.approvals",
    "operator.questions",
    "operator.pairing",
    "operator.talk",
    "operator.talk.secrets",
]
IdentityScopes = dict[Text, tuple[OperatorScope, ...]]


def _hide(secret: str | None) -> str:
    return "None" if secret is None else "<set>"


class DeviceAutoApprove(Struct, frozen=True, rename="camel"):
    """Devices of a proxy's users that are paired without an operator being asked."""

    enabled: Annotated[
        bool, rule("Pair the pages and apps of users whom a trusted proxy names at once.", HOT, action="auth")
    ] = False
    scopes: Annotated[
        tuple[OperatorScope, ...] | None,
        rule(
            "The most that such a device gets; unset: read, write, approvals and questions. operator.admin makes every "
            "user of the proxy an administrator.",
            HOT,
            action="auth",
            allowed="a list of OpenClaw's operator scopes",
        ),
    ] = None


class TrustedProxy(Struct, frozen=True, rename="camel"):
    """What a proxy in gateway.trustedProxies must say of its user, in auth mode trusted-proxy."""

    user_header: Annotated[
        Header | None,
        rule("Header with the user; the proxy must overwrite it.", HOT, action="auth", allowed="the name of a header"),
    ] = None
    required_headers: Annotated[
        tuple[Header, ...],
        rule("Headers that the proxy must send as well.", HOT, action="auth", allowed="a list of names of headers"),
    ] = ()
    allow_users: Annotated[
        Texts,
        rule(
            "The users who may connect, exactly as the header spells them; none: all.",
            HOT,
            action="auth",
            allowed="a list of texts",
        ),
    ] = ()
    allow_loopback: Annotated[
        bool,
        rule(
            "Believe a proxy on this machine too, and with it every process here that can connect.", HOT, action="auth"
        ),
    ] = False
    device_auto_approve: DeviceAutoApprove = DeviceAutoApprove()


class Auth(Struct, frozen=True, rename="camel"):
    """Who may connect."""

    mode: Annotated[
        AuthMode | None,
        rule(
            "How clients prove who they are; unset: password if only a password is set, else token. In trusted-proxy, "
            "clients on this machine may use the password.",
            HOT,
            action="auth",
        ),
    ] = None
    token: Annotated[
        Text | None,
        rule("The shared token. OPENCLAW_GATEWAY_TOKEN fills in when it is unset.", HOT, action="auth", secret=True),
    ] = None
    password: Annotated[
        Text | None,
        rule("The password. OPENCLAW_GATEWAY_PASSWORD fills in when it is unset.", HOT, action="auth", secret=True),
    ] = None
    identity_scopes: Annotated[
        IdentityScopes | None,
        rule(
            "What users whom a trusted proxy names may do beside what their device may, for one connection at a time.",
            HOT,
            action="auth",
            allowed='an object such as {"you@example.com": ["operator.read", "operator.write"]}',
        ),
    ] = None
    trusted_proxy: TrustedProxy = TrustedProxy()

    @property
    def effective_mode(self) -> AuthMode:
        if self.mode is not None:
            return self.mode
        return "password" if self.password and not self.token else "token"

    def __repr__(self) -> str:
        # A config in a traceback or a log line must not carry its secrets along.
        return f"Auth(mode={self.mode!r}, token={_hide(self.token)}, password={_hide(self.password)})"


class Reload(Struct, frozen=True, rename="camel"):
    """What an edit of the config file does."""

    mode: Annotated[
        ReloadMode,
        rule(
            "hybrid: apply hot what can be, else restart; hot: never restart; restart: always; off: nothing.",
            HOT,
        ),
    ] = "hybrid"
    debounce_ms: Annotated[
        int, rule("Milliseconds of quiet after an edit before it is read.", HOT, ge=0, le=60_000)
    ] = 300
    deferral_timeout_ms: Annotated[
        int, rule("Longest wait in milliseconds for an idle moment before a restart.", HOT, ge=0, le=3_600_000)
    ] = 300_000


class ControlUi(Struct, frozen=True, rename="camel"):
    """The browser page."""

    enabled: Annotated[bool, rule("Serve the Control UI.", HOT)] = True
    base_path: Annotated[
        BasePath,
        rule(
            "Path under which the Control UI is served.",
            RESTART,
            allowed='"" or a path such as "/openclaw", without a slash at its end',
        ),
    ] = ""
    allowed_origins: Annotated[
        Texts,
        rule(
            'Pages of other places that may connect, such as "https://ui.example:8443"; "*" is every page.',
            HOT,
            allowed='a list of origins, each "scheme://host" or "scheme://host:port", or "*"',
        ),
    ] = ()
    allow_insecure_auth: Annotated[
        bool, rule("A Control UI that has no device identity (plain HTTP) connects by the secret alone.", HOT)
    ] = False
    dangerously_disable_device_auth: Annotated[
        bool, rule("The device identity of a Control UI is neither needed nor looked at; the secret is.", HOT)
    ] = False


class Limits(Struct, frozen=True, rename="camel"):
    """What one client may take, before and after it has shown who it is. Changes hold for new connections."""

    max_head_bytes: Annotated[int, rule("Bytes in a request's head.", HOT, ge=1024, le=1_048_576)] = 65_536
    max_headers: Annotated[int, rule("Header lines in a request.", HOT, ge=1, le=1000)] = 100
    max_body_bytes: Annotated[int, rule("Bytes in a request's body.", HOT, ge=0, le=268_435_456)] = 1_048_576
    head_timeout_ms: Annotated[int, rule("Milliseconds for a request's head to arrive.", HOT, ge=100, le=600_000)] = (
        10_000
    )
    body_timeout_ms: Annotated[
        int,
        rule(
            "Milliseconds for a request's body to arrive, and for a client to take more of its answer.",
            HOT,
            ge=100,
            le=600_000,
        ),
    ] = 30_000
    keep_alive_ms: Annotated[int, rule("Milliseconds an idle HTTP connection is kept.", HOT, ge=0, le=600_000)] = 5000
    max_connections_per_address: Annotated[
        int, rule("Connections one address may hold before it has authenticated.", HOT, ge=1, le=65_536)
    ] = 1024
    handshake_timeout_ms: Annotated[
        int, rule("Milliseconds for a WebSocket client to send `connect`.", HOT, ge=100, le=600_000)
    ] = 15_000


class ChatCompletions(Struct, frozen=True, rename="camel"):
    """The API of OpenAI's clients."""

    enabled: Annotated[
        bool, rule("Serve POST /v1/chat/completions and GET /v1/models, behind the gateway's secret.", HOT)
    ] = False


class Endpoints(Struct, frozen=True, rename="camel"):
    """APIs that are served when they are switched on."""

    chat_completions: ChatCompletions = ChatCompletions()


class Http(Struct, frozen=True, rename="camel"):
    """HTTP serving."""

    limits: Limits = Limits()
    endpoints: Endpoints = Endpoints()


class Gateway(Struct, frozen=True, rename="camel"):
    """The port, and what is served on it."""

    port: Annotated[int, rule("TCP port. OPENCLAW_GATEWAY_PORT wins over it.", UNIT, ge=1, le=65_535)] = 18_789
    bind: Annotated[
        Bind,
        rule(
            "Addresses to listen on: loopback, lan, tailnet, custom (customBindHost), auto (lan in containers).", UNIT
        ),
    ] = "loopback"
    custom_bind_host: Annotated[str | None, rule("The address for bind custom.", UNIT, allowed="an IP address")] = None
    auth: Auth = Auth()
    trusted_proxies: Annotated[
        Texts,
        rule(
            "Proxies whose X-Forwarded-For is believed; in auth mode trusted-proxy their word for their user too.",
            HOT,
            action="auth",
            allowed="a list of IP addresses or networks such as 10.0.0.0/8",
        ),
    ] = ()
    reload: Reload = Reload()
    control_ui: ControlUi = ControlUi()
    http: Http = Http()


class Logging(Struct, frozen=True, rename="camel"):
    """Where log lines go."""

    level: Annotated[Level, rule("Least level that the log file and the journal get.", HOT, action="logging")] = "info"
    console_level: Annotated[Level, rule("Least level that the terminal gets.", HOT, action="logging")] = "info"
    file: Annotated[
        Text | None, rule("Path of the JSONL log file; unset: OpenClaw's place.", HOT, action="logging")
    ] = None
    max_file_bytes: Annotated[
        int,
        rule("Bytes at which the log file becomes `….1`.", HOT, ge=65_536, le=17_179_869_184, action="logging"),
    ] = 104_857_600


class Config(Struct, frozen=True, rename="camel"):
    """The sections of the config file that this gateway uses."""

    gateway: Gateway = Gateway()
    logging: Logging = Logging()

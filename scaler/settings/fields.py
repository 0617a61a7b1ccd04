"""Every setting, declared once: meaning, unit, default and why. docs/settings.md is generated from here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from scaler.settings.file import read_settings_file
from scaler.settings.rules import SettingsInvalid, contradictions, fault_of
from scaler.settings.values import (
    Address,
    AddressOrNone,
    DatabaseUrl,
    File,
    HeaderName,
    HeaderNameOrNone,
    HeaderText,
    Hosts,
    HttpTls,
    HttpWrites,
    Installation,
    Namespaces,
    Pattern,
    Patterns,
    Protocols,
    RedisUrl,
    Seconds,
    SecondsOrNone,
    ServerUrl,
    UserName,
    encodable,
)
from scaler.trigger.sizes import LONGEST_VALUE

ENVIRONMENT_PREFIX = "HEADWAY_"

IN_FILE_ONLY = frozenset({"servers", "triggers"})
"""fields without flag and environment variable, because a line of text cannot hold them"""


def _setting(default: Any, placeholder: str, description: str, **limits: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"placeholder": placeholder}, **limits)


class Server(BaseModel):
    """Credentials for the servers that match a pattern; an entry of the file's `servers:` list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: Pattern = _setting(
        ...,
        "PATTERN",
        "Servers that get these credentials. Name a single server: a wide pattern sends them to every server that "
        "matches.",
    )
    username: UserName = _setting("", "NAME", "User name of basic authentication.")
    password_file: File | None = _setting(None, "FILE", "The password, one line; read again when the file changes.")
    bearer_token_file: File | None = _setting(
        None, "FILE", "A bearer token, one line; read again when the file changes."
    )
    certificate_file: File | None = _setting(
        None, "FILE", "Client certificate (PEM); read again when the file changes."
    )
    key_file: File | None = _setting(
        None, "FILE", "Key (PEM) of the client certificate; read again when the file changes."
    )
    ca_file: File | None = _setting(
        None,
        "FILE",
        "Certificate authorities (PEM) to trust there, instead of the system's; read again when the file changes.",
    )
    tenant: HeaderText = _setting("", "NAME", "Tenant, sent with every request to this server.")
    tenant_header: HeaderName = _setting("X-Scope-OrgID", "NAME", "Header that carries the tenant.")
    kind: str = _setting(
        "prometheus",
        "KIND",
        "What answers there: `prometheus`, `recorded` (option `file`), or a kind that a package adds.",
    )
    options: dict[str, str] = _setting({}, "KEYS", "Options of another kind, as it documents them.")
    method: Literal["POST", "GET"] = _setting(
        "POST",
        "POST|GET",
        "POST keeps long queries out of the URL. Where the server refuses it (403, 405, 501), Headway switches to GET.",
    )


class ListedTrigger(BaseModel):
    """A trigger that is watched although KEDA never asks about it; an entry of the file's `triggers:` list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: str = _setting(..., "NAME", "Namespace of the ScaledObject.")
    name: str = _setting(..., "NAME", "Name of the ScaledObject.")
    metadata: dict[str, str] = _setting(..., "KEYS", "The trigger's keys and values, as in docs/trigger.md.")


class Settings(BaseSettings):
    """The settings of `headway serve`. Making one raises SettingsInvalid with every fault at once."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, enable_decoding=False, validate_default=False
    )

    config: File | None = _setting(
        None, "FILE", "YAML file with settings, spelled like the flags without the leading dashes; read at the start."
    )

    prometheus: ServerUrl = _setting(
        "",
        "URL",
        "Prometheus-compatible server (Thanos, Mimir, VictoriaMetrics too) for triggers without a `serverAddress`. "
        "Without it, every trigger needs a `serverAddress` that is allowed.",
    )
    allow_server_address: Patterns = _setting(
        (),
        "PATTERN",
        "A `serverAddress` that triggers may use, as `http://prometheus.monitoring:9090`; repeatable, and in the "
        "environment separated by commas. `{namespace}` is the trigger's own namespace, as in "
        "`http://prometheus.{namespace}:9090`. `*` matches a part of one segment; where a namespace of Kubernetes may "
        "stand it is refused, because who may create a namespace would choose the server. None by default: metadata "
        "is tenant input, and an open list, such as `*` alone, would give tenants access to any server in the cluster.",
    )
    prometheus_username: UserName = _setting("", "NAME", "User name of basic authentication at `prometheus`.")
    prometheus_password_file: File | None = _setting(
        None,
        "FILE",
        "The password, one line; read again when the file changes. In a file, because flags and environment variables "
        "are visible to others.",
    )
    prometheus_bearer_token_file: File | None = _setting(
        None, "FILE", "A bearer token for `prometheus`, one line; read again when the file changes."
    )
    prometheus_certificate_file: File | None = _setting(
        None, "FILE", "Client certificate (PEM) for `prometheus`; read again when the file changes."
    )
    prometheus_key_file: File | None = _setting(
        None, "FILE", "Key (PEM) of that client certificate; read again when the file changes."
    )
    prometheus_ca_file: File | None = _setting(
        None,
        "FILE",
        "Certificate authorities (PEM) to trust at `prometheus`, instead of the system's; read again when the file "
        "changes.",
    )
    prometheus_tenant: HeaderText = _setting("", "NAME", "Tenant, sent with every request to this server.")
    prometheus_tenant_header: HeaderName = _setting("X-Scope-OrgID", "NAME", "Header that carries the tenant.")
    prometheus_method: Literal["POST", "GET"] = _setting(
        "POST",
        "POST|GET",
        "POST keeps long queries out of the URL. Where the server refuses it (403, 405, 501), Headway switches to GET. "
        "The setting also holds for servers that only a trigger names.",
    )
    servers: tuple[Server, ...] = _setting(
        (),
        "LIST",
        "Credentials for further servers, in the file only. A server listed here is not yet allowed for triggers: "
        "`allow-server-address` allows it.",
    )
    triggers: tuple[ListedTrigger, ...] = _setting(
        (),
        "LIST",
        "Triggers to watch although KEDA never calls Headway about them, in the file only. They are for ScaledObjects "
        "whose own `prometheus` trigger reads `headway_planned_demand`.",
    )
    prometheus_timeout: Seconds = _setting(
        10.0,
        "DURATION",
        "Longest wait for one response; at most 0.8 of a refresh interval, so that a slow server delays one "
        "observation.",
    )
    prometheus_concurrency: int = _setting(
        8,
        "NUMBER",
        "Concurrent requests per server; one request reads up to 50 triggers. The default is below the 20 queries "
        "that a Prometheus runs at once by default, so that dashboards and alerts are not delayed.",
        ge=1,
        le=256,
    )
    max_query_length: int = _setting(
        4096, "NUMBER", "Most characters of a trigger's `query`; a longer one is refused.", ge=1, le=LONGEST_VALUE
    )
    backfill_concurrency: int = _setting(
        8,
        "NUMBER",
        "Triggers whose history is fetched concurrently from one server; at most eight times as many from all. Few, "
        "because range queries over weeks are the heaviest requests that Headway sends to a server.",
        ge=1,
        le=64,
    )

    discover_namespaces: Namespaces = _setting(
        (),
        "NAMESPACE",
        "A namespace whose ScaledObjects are watched through the Kubernetes API; repeatable, and in the environment "
        "separated by commas; `*` alone for all. Those with the annotation `headway.dev/forecast` are forecast, see "
        "docs/keda.md. It needs the permissions get, list and watch for scaledobjects of the group keda.sh.",
    )
    kubernetes_api: ServerUrl = _setting(
        "",
        "URL",
        "Address of the Kubernetes API for `discover-namespaces`, as http://127.0.0.1:8001 of `kubectl proxy`. By "
        "default that of the cluster in which Headway runs, with the token and the authorities of the pod's service "
        "account.",
    )
    kubernetes_token_file: File | None = _setting(
        None, "FILE", "A bearer token for the Kubernetes API, one line; read again when the file changes."
    )
    kubernetes_ca_file: File | None = _setting(
        None,
        "FILE",
        "Certificate authorities (PEM) to trust at the Kubernetes API; read again when the file changes.",
    )

    grpc_address: Address = _setting(
        "0.0.0.0:50051", "HOST:PORT", "Address of the gRPC server that KEDA calls. Port 0 takes a free port."
    )
    http_address: Address = _setting(
        "0.0.0.0:8080", "HOST:PORT", "Address of health, telemetry and the JSON API. Port 0 takes a free port."
    )
    http_tls: HttpTls = _setting(
        "off",
        "off|tls|mtls",
        "TLS at the HTTP port, with the files of `tls-cert` and `tls-key`. With `mtls`, clients must also bring a "
        "certificate of `tls-client-ca`, except for /livez and /readyz: the kubelet has none. Off by default: a "
        "Prometheus must be configured to scrape over TLS.",
    )
    http_token_file: File | None = _setting(
        None,
        "FILE",
        "A token of at least 16 characters, one line; read again when the file changes. With it /api/v1 and the page "
        "need `Authorization: Bearer TOKEN`, or a browser that has signed in with it, because they show queries and "
        "servers of all teams. /livez, /readyz "
        "and /metrics need none.",
    )
    http_writes: HttpWrites = _setting(
        "off",
        "off|token|proxy",
        "Who may promote, roll back and retire models, and ask for a retraining, on the page and by the API. `token`: "
        "who has the token of `http-token-file`. `proxy`: who is named in `http-user-header`; the port must then be "
        "reachable by that proxy alone, because any other client could name anybody. Off by default: the page shows "
        "the command to run instead.",
    )
    http_user_header: HeaderNameOrNone = _setting(
        "",
        "NAME",
        "Header in which a proxy that signs users in (OIDC) passes their name, as X-Forwarded-Email; it is recorded "
        "with each change. It is read with `http-writes: proxy` only.",
    )
    http_allowed_hosts: Hosts = _setting(
        (),
        "HOST",
        "A name under which clients may call the HTTP port, as `headway.keda` or `*.example.com`; repeatable, and in "
        "the environment separated by commas. IP addresses and localhost always count, so that the kubelet and "
        "Prometheus need no entry; other names are refused, which protects browsers from DNS rebinding. Any name by "
        "default.",
    )
    http_max_connections_per_client: int = _setting(
        16,
        "NUMBER",
        "Concurrent connections of one client address at the HTTP port, of 256 in all. /livez and /readyz are answered "
        "beyond it, so that a neighbour of the kubelet cannot restart a pod.",
        ge=1,
        le=256,
    )
    probe_address: AddressOrNone = _setting(
        "",
        "HOST:PORT",
        "A further port that serves /livez, /readyz and /metrics without TLS and token, for probes and a Prometheus "
        "that cannot bring a client certificate. By default the HTTP port alone serves them.",
    )
    grpc_reflection: bool = _setting(
        False,
        "true|false",
        "Whether the gRPC port describes its services, for grpcurl without a .proto file. Off by default: callers "
        "that are meant to call know the protocol.",
    )
    tls_cert: File | None = _setting(
        None,
        "FILE",
        "Certificate (PEM) of the gRPC port, and of the HTTP port with `http-tls`; read again when the file changes.",
    )
    tls_key: File | None = _setting(None, "FILE", "Key (PEM) of that certificate; read again when the file changes.")
    tls_client_ca: File | None = _setting(
        None,
        "FILE",
        "Certificate authorities (PEM) whose clients may call; read again when the file changes. With it a client "
        "certificate is required (mTLS).",
    )
    max_connection_age: Seconds = _setting(
        120.0,
        "DURATION",
        "Age, plus or minus a tenth, at which a connection is closed. KEDA looks for new replicas of Headway only "
        "then, so a new replica gets its share of the calls about this much later.",
    )
    stream_lifetime: Seconds = _setting(
        90.0,
        "DURATION",
        "Age at which a push stream ends with OK. KEDA reconnects 2 s later; after a broken stream it waits up to 60 "
        "s. Must be shorter than `max-connection-age`.",
    )
    drain_grace: Seconds = _setting(
        10.0,
        "DURATION",
        "Time for calls in progress to finish after SIGTERM. The pod's terminationGracePeriodSeconds must be longer.",
    )
    first_answer_wait: SecondsOrNone = _setting(
        1.0,
        "DURATION",
        "Time after its registration (or the start of the process) in which calls for a trigger wait for its first "
        "answer instead of failing. Later calls never wait.",
    )

    max_triggers: int = _setting(
        20_000,
        "NUMBER",
        "Most triggers that this process watches; a new one beyond is refused with RESOURCE_EXHAUSTED, and those that "
        "are watched stay. The last tenth is kept for namespaces with fewer than 20 triggers. Each takes some 45 kB, "
        "and one process refreshes about 10,000 within an interval.",
        ge=1,
    )
    max_triggers_per_namespace: int = _setting(
        2000,
        "NUMBER",
        "Most triggers of one namespace, so that one tenant cannot use up `max-triggers`. Triggers of the settings "
        "count, and are never refused.",
        ge=1,
    )
    max_streams: int = _setting(
        10_000,
        "NUMBER",
        "Most open push streams (triggers of type `external-push`), each of which takes some 30 kB. The last tenth is "
        "kept for namespaces with fewer than 20.",
        ge=1,
    )
    max_streams_per_namespace: int = _setting(
        1000, "NUMBER", "Most open push streams of one namespace, so that one tenant cannot use up `max-streams`.", ge=1
    )
    max_connections: int = _setting(
        1000,
        "NUMBER",
        "Most connections to the gRPC port; further ones are closed. An operator of KEDA opens one per replica of "
        "Headway and set of TLS options.",
        ge=1,
    )

    redis: RedisUrl | None = _setting(
        None,
        "URL",
        "Shared cache of the replicas of Headway, as redis://host:6379/0: leases and outlooks. Two or more replicas "
        "need it to give equal answers. Without it each process keeps its own. Redis 5 or later or Valkey: one server, "
        "a primary with replicas, or a cluster, for which no option is needed. The URL leads to the primary or to any "
        "node of the cluster; Sentinel is not asked. rediss:// is TLS, with the options ssl_ca_certs, ssl_certfile, "
        "ssl_keyfile and ssl_cert_reqs; unix:// is a socket. A user of the server needs the keys and channels "
        "`headway:*`. An unknown option of the URL is an error at the start.",
    )
    redis_signing_key_file: File | None = _setting(
        None,
        "FILE",
        "Key that signs what replicas share in Redis (HMAC-SHA256), at least 32 characters, the same for all replicas. "
        "With it, what anybody else wrote there is refused; without it, only impossible records are. One key per line, "
        "at most 4: the first signs, all are accepted. The file is read again when it changes, and its former keys are "
        "accepted for another hour. To change the key without a gap, add the new one as the second line, wait until "
        "all replicas have the file (two minutes for a Kubernetes Secret), and put it first.",
    )
    installation: Installation = _setting(
        "",
        "NAME",
        "Name of this installation, the same for all its replicas: at most 63 lower-case letters, digits and dashes. "
        "Installations that share a Redis or a database need "
        "different names: otherwise two ScaledObjects of the same namespace and name, query and server address in two "
        "clusters share one state. A new name begins with an empty state; the history is fetched again.",
    )
    database: DatabaseUrl | None = _setting(
        None,
        "URL",
        "Database of the watched triggers and their history, as postgresql://user@host/headway. Without it, a "
        "SQLite file in `data-dir`. PgBouncer and similar poolers work in transaction and in session mode, without "
        "further options. They do not work in statement mode, which has no transactions. The URL may have libpq's "
        "options for hosts and TLS, `application_name`, `search_path` and `options` (a pooler may refuse the last "
        "two). Any other option is an error at the start.",
    )
    data_dir: Path = _setting(
        Path("headway-data"),
        "DIR",
        "Folder of the SQLite file; created if missing. Only one process can use it: a second one does not start.",
    )
    trigger_expiry: Seconds = _setting(
        3600.0,
        "DURATION",
        "Time without a call after which a trigger is forgotten. KEDA never unregisters a trigger, and makes no calls "
        "for a paused ScaledObject. When the calls resume, its history is fetched again. A trigger that was called for "
        "during less than a minute is forgotten after a quarter of an hour.",
    )

    bundle: str = _setting(
        "",
        "DIR_OR_URL",
        "Trained model: a folder or an fsspec URL. By default the general bundle that ships with Headway.",
    )
    bundle_protocols: Protocols = _setting(
        ("file", "https", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"),
        "PROTOCOL",
        "Protocols that the URL of `bundle` may have; repeatable, and in the environment separated by commas. Those "
        "that encrypt or stay on this machine by default, because a bundle decides how many replicas run. Chained URLs "
        "(`simplecache::s3://…`) are always refused.",
    )
    inference_threads: int = _setting(
        1,
        "NUMBER",
        "Threads that forecast. One leaves the other cores free for answers; more shorten a refresh.",
        ge=1,
        le=64,
    )
    forecast_chunk: int = _setting(
        256,
        "NUMBER",
        "Triggers forecast in one run of a model. A small number keeps answers fast during a forecast.",
        ge=1,
        le=10_000,
    )

    refresh_interval: Seconds = _setting(
        15.0,
        "DURATION",
        "How often demand is read and a new plan is made. The default is as often as the HPA reads a reactive "
        "trigger: a longer interval loses more than a better model wins back. At least 5s, and a divisor of a minute.",
    )
    publish_grace: SecondsOrNone = _setting(
        1.0,
        "DURATION",
        "With Redis: delay from the issue of a plan until it counts, so that every replica has received it by then. "
        "Must be shorter than `refresh-interval`.",
    )

    log_format: Literal["json", "console"] = _setting(
        "json", "json|console", "`json` is one object per line, for machines; `console` is for people."
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", "LEVEL", "Lowest level that is logged: debug, info, warning or error."
    )
    traces_endpoint: ServerUrl = _setting(
        "",
        "URL",
        "OpenTelemetry receiver of traces, OTLP over HTTP, such as http://collector:4318; `/v1/traces` is appended to "
        "a URL without a path. Spans are of refreshes, of requests to metric servers and of requests to the HTTP port. "
        "Needs the extra `tracing`, which the images have. Empty: no traces.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = init_settings().get("config") or env_settings().get("config")
        return init_settings, env_settings, InitSettingsSource(settings_cls, read_settings_file(path))

    @model_validator(mode="wrap")
    @classmethod
    def _every_fault_at_once(cls, values: Any, handler: ModelWrapValidatorHandler["Settings"]) -> "Settings":
        """Faulty fields, and contradictions among the valid ones, so that one start shows all faults."""
        values = encodable(values)
        try:
            settings = handler(values)
        except ValidationError as error:
            details = error.errors()
            faulty = {str(detail["loc"][0]) for detail in details}
            rest = handler({name: value for name, value in values.items() if name not in faulty})
            faults = [fault_of(detail, _ENTRIES.get(detail["loc"][0], cls)) for detail in details]
            raise SettingsInvalid((*faults, *contradictions(rest, faulty))) from None
        if contradicting := contradictions(settings):
            raise SettingsInvalid(tuple(contradicting))
        return settings

    @property
    def default_server(self) -> Server | None:
        """`prometheus` with its credentials; None if it is not set."""
        if not self.prometheus:
            return None
        given = {name: f"prometheus_{name}" for name in Server.model_fields}
        own = {name: getattr(self, flag) for name, flag in given.items() if flag in type(self).model_fields}
        return Server.model_construct(pattern=self.prometheus, **own)

    @property
    def known_servers(self) -> tuple[Server, ...]:
        """How to reach servers: the default one, those of the file, and any other where it needs another method."""
        others = Server.model_construct(pattern="*", method=self.prometheus_method)
        return tuple(
            server
            for server in (self.default_server, *self.servers, others if others.method != "POST" else None)
            if server is not None
        )


_ENTRIES: dict[int | str, type[BaseModel]] = {"servers": Server, "triggers": ListedTrigger}


def load_settings(flags: Mapping[str, object] | None = None) -> Settings:
    """The settings of this process. `flags` by field name; None and empty lists are flags that are not set."""
    values: dict[str, Any] = {name: value for name, value in (flags or {}).items() if value not in (None, [], ())}
    return Settings(**values)

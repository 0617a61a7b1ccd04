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
    DatabaseUrl,
    File,
    HeaderName,
    HeaderText,
    Pattern,
    Patterns,
    RedisUrl,
    Seconds,
    SecondsOrNone,
    ServerUrl,
    UserName,
)

ENVIRONMENT_PREFIX = "HEADWAY_"

IN_FILE_ONLY = frozenset({"servers", "triggers"})
"""fields without flag and environment variable, because a line of text cannot hold them"""


def _setting(default: Any, placeholder: str, description: str, **limits: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"placeholder": placeholder}, **limits)


class Server(BaseModel):
    """Credentials for the servers that match a pattern; an entry of the file's `servers:` list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: Pattern = _setting(
        ..., "PATTERN", "Servers that get these credentials. Name one: a wide pattern sends them to whatever matches."
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
        None, "FILE", "Authorities (PEM) to trust there, instead of the system's; read again when the file changes."
    )
    tenant: HeaderText = _setting("", "NAME", "Tenant, sent with every request to this server.")
    tenant_header: HeaderName = _setting("X-Scope-OrgID", "NAME", "Header that carries the tenant.")
    method: Literal["POST", "GET"] = _setting(
        "POST",
        "POST|GET",
        "POST keeps long queries out of the URL. Where it is refused (403, 405, 501), GET is tried and kept.",
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
        None, "FILE", "YAML file with settings, spelled as the flags without the leading dashes; read at the start."
    )

    prometheus: ServerUrl = _setting(
        "",
        "URL",
        "Prometheus-compatible server (Thanos, Mimir, VictoriaMetrics too) for triggers without a `serverAddress`. "
        "When it is not given, every trigger must bring one that is allowed.",
    )
    allow_server_address: Patterns = _setting(
        (),
        "PATTERN",
        "A `serverAddress` that triggers may use, as `http://prometheus.*:9090`; repeatable, and in the environment "
        "separated by commas. `*` stands for a part of one segment. None by default: metadata is tenant input, and an "
        "open list would let anyone reach into the cluster.",
    )
    prometheus_username: UserName = _setting("", "NAME", "User name of basic authentication at `prometheus`.")
    prometheus_password_file: File | None = _setting(
        None,
        "FILE",
        "The password, one line; read again when the file changes. In a file, because others can see flags and "
        "environments.",
    )
    prometheus_bearer_token_file: File | None = _setting(
        None, "FILE", "A bearer token for `prometheus`, one line; read again when the file changes."
    )
    prometheus_certificate_file: File | None = _setting(
        None, "FILE", "Client certificate (PEM) shown to `prometheus`; read again when the file changes."
    )
    prometheus_key_file: File | None = _setting(
        None, "FILE", "Key (PEM) of that client certificate; read again when the file changes."
    )
    prometheus_ca_file: File | None = _setting(
        None,
        "FILE",
        "Authorities (PEM) to trust at `prometheus`, instead of the system's; read again when the file changes.",
    )
    prometheus_tenant: HeaderText = _setting("", "NAME", "Tenant, sent with every request to this server.")
    prometheus_tenant_header: HeaderName = _setting("X-Scope-OrgID", "NAME", "Header that carries the tenant.")
    prometheus_method: Literal["POST", "GET"] = _setting(
        "POST",
        "POST|GET",
        "POST keeps long queries out of the URL. Where it is refused (403, 405, 501), GET is tried and kept. It also "
        "holds for servers that only a trigger names.",
    )
    servers: tuple[Server, ...] = _setting(
        (),
        "LIST",
        "Credentials for further servers, in the file only. Being listed does not allow triggers to use a server: "
        "`allow-server-address` does.",
    )
    triggers: tuple[ListedTrigger, ...] = _setting(
        (),
        "LIST",
        "Triggers to watch although KEDA never asks about them, in the file only: for ScaledObjects whose own "
        "`prometheus` trigger reads `headway_planned_demand`.",
    )
    prometheus_timeout: Seconds = _setting(
        10.0,
        "DURATION",
        "Longest wait for one answer; never more than 0.8 of a refresh, so that a slow server costs one look.",
    )
    prometheus_concurrency: int = _setting(
        8,
        "NUMBER",
        "Requests under way at once per server; one asks for up to 50 triggers. Fewer than the 20 queries that a "
        "Prometheus runs at once by default, so that people and alerts get their turn.",
        ge=1,
        le=256,
    )
    max_query_length: int = _setting(4096, "NUMBER", "Characters of a trigger's `query`; longer is refused.", ge=1)
    backfill_concurrency: int = _setting(
        8,
        "NUMBER",
        "Triggers whose past is fetched at once. Few, because range queries over weeks are the heaviest thing that "
        "Headway asks of a server.",
        ge=1,
        le=64,
    )

    grpc_address: Address = _setting("0.0.0.0:50051", "HOST:PORT", "Where KEDA calls. Port 0 takes a free one.")
    http_address: Address = _setting(
        "0.0.0.0:8080", "HOST:PORT", "Health, telemetry and the JSON API. Port 0 takes a free one."
    )
    tls_cert: File | None = _setting(
        None, "FILE", "Certificate (PEM) of the gRPC port; read again when the file changes."
    )
    tls_key: File | None = _setting(None, "FILE", "Key (PEM) of that certificate; read again when the file changes.")
    tls_client_ca: File | None = _setting(
        None,
        "FILE",
        "Authorities (PEM) whose clients may call; read again when the file changes. With it a client certificate is "
        "required (mTLS).",
    )
    max_connection_age: Seconds = _setting(
        120.0,
        "DURATION",
        "Age, give or take a tenth, at which a connection is ended. KEDA looks for new replicas only then, so a new "
        "replica has its share of the calls about this much later.",
    )
    stream_lifetime: Seconds = _setting(
        90.0,
        "DURATION",
        "Age at which a push stream is ended with OK: KEDA is back 2 s later, where a broken stream makes it wait up "
        "to 60 s. Shorter than `max-connection-age`.",
    )
    drain_grace: Seconds = _setting(
        10.0,
        "DURATION",
        "Time for calls under way to finish after SIGTERM. The pod's terminationGracePeriodSeconds must be longer.",
    )
    first_answer_wait: SecondsOrNone = _setting(
        1.0,
        "DURATION",
        "Time after its registration (or the start of the process) in which calls for a trigger wait for its first "
        "answer instead of failing. Later calls never wait.",
    )

    redis: RedisUrl | None = _setting(
        None,
        "URL",
        "Shared memory of the replicas, as redis://host:6379/0: who refreshes what, and what came of it. Needed from "
        "two replicas on, so that they give equal answers; without it each process keeps its own.",
    )
    database: DatabaseUrl | None = _setting(
        None,
        "URL",
        "Watched triggers and the long history, as postgresql://user@host/headway. Otherwise a SQLite file in "
        "`data-dir`. PgBouncer and poolers like it work in transaction and in session mode, without further options; "
        "statement mode has no transactions and does not work. The URL may have libpq's options for hosts and TLS, "
        "`application_name`, `search_path` and `options` (a pooler may refuse the last two); any other is an error at "
        "the start.",
    )
    data_dir: Path = _setting(
        Path("headway-data"),
        "DIR",
        "Folder of the SQLite file; made when missing. For one process at a time: a second one does not start.",
    )
    trigger_expiry: Seconds = _setting(
        3600.0,
        "DURATION",
        "Silence after which a trigger is forgotten. KEDA never says goodbye, and a paused ScaledObject is silent too: "
        "when it comes back, its past is fetched again.",
    )

    bundle: str = _setting(
        "",
        "DIR_OR_URL",
        "Trained model: a folder or an fsspec URL. By default the general one that ships with Headway.",
    )
    inference_threads: int = _setting(
        1,
        "NUMBER",
        "Threads that forecast. One leaves the other cores to answers; more shorten a refresh.",
        ge=1,
        le=64,
    )
    forecast_chunk: int = _setting(
        256,
        "NUMBER",
        "Triggers forecast in one run of a model. Small, so that answers never wait long.",
        ge=1,
        le=10_000,
    )

    refresh_interval: Seconds = _setting(
        15.0,
        "DURATION",
        "How often demand is read and planned anew: as often as a reactive trigger would look, because looking less "
        "often costs more than a better model gains. At least 5s, and a divisor of a minute.",
    )
    publish_grace: SecondsOrNone = _setting(
        1.0,
        "DURATION",
        "With Redis: how long after its issue a plan begins to count, so that every replica has it by then. Shorter "
        "than `refresh-interval`.",
    )

    log_format: Literal["json", "console"] = _setting(
        "json", "json|console", "`json` is one object per line, for machines; `console` is for people."
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", "LEVEL", "Least urgent level that is written: debug, info, warning or error."
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
        """Contradictions are sought in what remains without the faulty fields, so that nobody has to start twice."""
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
        """`prometheus` with its credentials; None where it was not given."""
        if not self.prometheus:
            return None
        own = {name: getattr(self, f"prometheus_{name}") for name in Server.model_fields if name != "pattern"}
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
    """The settings of this process. `flags` by field name; None and empty lists are flags that were not given."""
    given: dict[str, Any] = {name: value for name, value in (flags or {}).items() if value not in (None, [], ())}
    return Settings(**given)

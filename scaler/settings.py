"""What an operator sets. Every setting is declared once, here: meaning, unit, default and why.

    flag (`--refresh-interval 15s`)  over  environment (`HEADWAY_REFRESH_INTERVAL`)  over
    file (`--config FILE`, `refresh-interval: 15s`)  over  the default

`load_settings` reads them; `with_settings_options` gives a command one option per field; docs/settings.md is generated
from the fields. Durations are written as in Go (`15s`, `2m`) and are seconds (float) here.
"""

import difflib
import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import durationpy
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic import ModelWrapValidatorHandler, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from scaler.errors import Fault, SettingsError
from scaler.redaction import HIDDEN, redacted

ENVIRONMENT_PREFIX = "HEADWAY_"
SHORTEST_REFRESH_SECONDS = 5


class SettingsInvalid(SettingsError):
    """Every fault of the settings at once, one per line."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        noun = "fault" if len(faults) == 1 else "faults"
        super().__init__("\n  ".join([f"{len(faults)} {noun} in the settings:", *map(str, faults)]))


def _seconds(value: object) -> object:
    """Seconds of a Go duration; a timedelta is taken as well, a bare number is not: it would not say its unit."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        return durationpy.from_str(str(value)).total_seconds()
    except (durationpy.DurationError, ValueError, KeyError):
        raise ValueError("must be a duration with its unit, as 15s, 2m or 1h30m") from None


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be longer than 0")
    return value


def _list(value: object) -> object:
    """A list, also from one comma separated text (the environment has no lists)."""
    parts = value if isinstance(value, list | tuple) else str(value).split(",")
    return tuple(piece.strip() for part in parts for piece in str(part).split(",") if piece.strip())


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("must be HOST:PORT, as 0.0.0.0:50051 or [::]:50051")
    return value


def _web_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("must be an http:// or https:// URL")
    if parts.username or parts.password:
        raise ValueError("must not carry credentials; give prometheus-username and prometheus-password-file")
    return value.rstrip("/")


def _scheme(*allowed: str) -> AfterValidator:
    def check(value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in allowed:
            raise ValueError("must be a URL that begins with " + " or ".join(f"{scheme}://" for scheme in allowed))
        return value

    return AfterValidator(check)


def _readable(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"must be a readable file: {error.strerror}") from None
    return path


Seconds: TypeAlias = Annotated[float, BeforeValidator(_seconds), AfterValidator(_positive)]
Address: TypeAlias = Annotated[str, AfterValidator(_address)]
WebUrl: TypeAlias = Annotated[str, AfterValidator(_web_url)]
File: TypeAlias = Annotated[Path, AfterValidator(_readable)]
Patterns: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_list)]
RedisUrl: TypeAlias = Annotated[SecretStr | None, _scheme("redis", "rediss", "unix")]
DatabaseUrl: TypeAlias = Annotated[SecretStr | None, _scheme("postgresql", "postgres", "postgresql+asyncpg", "sqlite")]


class Server(BaseModel):
    """One Prometheus-compatible server and how to log in there; an entry of the file's `servers:` list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(
        description="Address to which these credentials are sent; a trigger's `serverAddress` must match it. "
        "A shell pattern (`https://mimir.*`) is possible, but sends the credentials to whatever matches."
    )
    username: str = Field("", description="User name of basic authentication.")
    password_file: File | None = Field(None, description="File with the password; read again when it changes.")
    bearer_token_file: File | None = Field(None, description="File with a bearer token; read again when it changes.")
    tls_cert: File | None = Field(None, description="Client certificate (PEM).")
    tls_key: File | None = Field(None, description="Key of the client certificate (PEM).")
    tls_ca: File | None = Field(None, description="Authorities (PEM) trusted for this server, instead of the system's.")
    tenant: str = Field("", description="Tenant, sent unless the trigger names its own (`namespace`).")
    tenant_header: str = Field("X-Scope-OrgID", description="Header that carries the tenant; as Mimir and Cortex want it.")


class Settings(BaseSettings):
    """The settings of `headway serve`. Raises SettingsError with every fault at once."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, enable_decoding=False, validate_default=False
    )

    config: File | None = Field(None, description="YAML file with settings, spelled as the flags without the dashes.")

    # where demand is read
    prometheus: WebUrl = Field(
        "",
        description="Prometheus-compatible server (Thanos, Mimir, VictoriaMetrics too) for triggers that bring no "
        "`serverAddress`. Without it every trigger must bring an allowed one.",
    )
    allow_server_address: Patterns = Field(
        (),
        description="Shell patterns that a trigger's `serverAddress` may match, as `http://prometheus.*:9090`; repeatable. "
        "Empty by default because metadata is tenant input: an open list would let anyone reach inside the cluster.",
    )
    prometheus_username: str = Field("", description="User name of basic authentication at `prometheus`.")
    prometheus_password_file: File | None = Field(
        None, description="File with the password. A file, because flags and environments are seen by others."
    )
    prometheus_bearer_token_file: File | None = Field(
        None, description="File with a bearer token for `prometheus`; read again when it changes."
    )
    prometheus_tls_cert: File | None = Field(None, description="Client certificate (PEM) shown to `prometheus`.")
    prometheus_tls_key: File | None = Field(None, description="Key (PEM) of that client certificate.")
    prometheus_tls_ca: File | None = Field(
        None, description="Authorities (PEM) trusted for `prometheus`, instead of the system's."
    )
    prometheus_tenant: str = Field("", description="Tenant, sent unless a trigger names its own (`namespace`).")
    prometheus_tenant_header: str = Field("X-Scope-OrgID", description="Header that carries the tenant.")
    servers: tuple[Server, ...] = Field(
        (),
        description="Credentials for further servers, each with its address; in the file only. "
        "Being listed here does not allow an address: `allow-server-address` does.",
    )
    prometheus_timeout: Seconds = Field(
        10.0, description="Longest wait for one answer. Under a refresh interval, so that a slow server costs one look."
    )
    prometheus_concurrency: int = Field(
        16, ge=1, le=256, description="Requests under way at once per server. Enough for thousands of triggers in 15 s, "
        "few beside the 20 queries that a Prometheus runs at once by default.",
    )  # fmt: skip
    max_query_length: int = Field(4096, ge=1, description="Characters of a trigger's `query`; longer ones are refused.")
    backfill_concurrency: int = Field(
        4, ge=1, le=64, description="Triggers whose past is fetched at once. Few, because range queries over weeks are "
        "the heaviest thing asked of Prometheus.",
    )  # fmt: skip

    # doors
    grpc_address: Address = Field("0.0.0.0:50051", description="Where KEDA calls. Port 0 takes a free one.")
    http_address: Address = Field("0.0.0.0:8080", description="Health, telemetry and the JSON API. Port 0 takes a free one.")
    tls_cert: File | None = Field(None, description="Certificate (PEM) of the gRPC port; a renewed file is taken up without restart.")
    tls_key: File | None = Field(None, description="Key (PEM) of that certificate.")
    tls_client_ca: File | None = Field(
        None, description="Authorities (PEM) whose clients may call. Given, a client certificate is required (mTLS)."
    )
    max_connection_age: Seconds = Field(
        120.0, description="Age at which a connection is ended, give or take a tenth. KEDA finds new replicas only when one "
        "ends, at most once in 30 s, so a new replica has its share of calls about this much later.",
    )  # fmt: skip
    stream_lifetime: Seconds = Field(
        90.0, description="Age at which a push stream is ended with OK, before its connection is: KEDA then returns after "
        "2 s, where an error would make it wait up to 60 s. Shorter than `max-connection-age`.",
    )  # fmt: skip
    drain_grace: Seconds = Field(
        10.0, description="Time for calls under way to finish after SIGTERM. Keep the pod's terminationGracePeriodSeconds longer."
    )
    first_answer_wait: Seconds = Field(
        1.0, description="Longest wait of a new trigger's first GetMetrics for the first observation. Later calls never wait."
    )

    # what is kept, and where
    redis: RedisUrl = Field(
        None, description="Shared cache of forecasts, as redis://host:6379/0. Needed as soon as there are two replicas; "
        "without it each process keeps its own.",
    )  # fmt: skip
    database: DatabaseUrl = Field(
        None, description="Watched triggers and the long history, as postgresql://host/headway. "
        "By default a SQLite file in `data-dir`.",
    )  # fmt: skip
    data_dir: Path = Field(Path("headway-data"), description="Folder for the SQLite file; made when missing.")
    trigger_expiry: Seconds = Field(
        3600.0, description="Silence after which a trigger is forgotten. KEDA never says goodbye, and a paused ScaledObject "
        "is silent too; when it returns, its past is fetched again.",
    )  # fmt: skip

    # the forecast
    bundle: str = Field(
        "", description="Trained model: a folder or any fsspec URL (`s3://…`). By default the seasonal one that ships with Headway."
    )
    inference_threads: int = Field(
        1, ge=1, le=64, description="Threads of one inference. One leaves the other cores to answers; more only shortens a refresh."
    )
    forecast_chunk: int = Field(
        500, ge=1, le=100_000, description="Triggers per inference. Small enough that answers are never held up for long."
    )

    # the loop
    refresh_interval: Seconds = Field(
        15.0, description="How often demand is read and planned anew. As often as a reactive trigger would look, because looking "
        "less often costs more than a better model gains. At least 5 s, and a divisor of 60 s.",
    )  # fmt: skip
    publish_grace: Seconds = Field(
        1.0, description="How long after its issue a plan begins to count, so that every replica has it by then. "
        "Shorter than `refresh-interval`.",
    )  # fmt: skip

    # logs
    log_format: Literal["json", "console"] = Field("json", description="`json` for machines, `console` for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least urgent level that is written.")

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
        """Checks between fields run on what remains when the faulty fields are left out, so nobody has to start twice."""
        try:
            settings, faults = handler(values), []
        except ValidationError as error:
            faults = [_fault(detail) for detail in error.errors()]
            faulty = {str(detail["loc"][0]) for detail in error.errors()}
            settings = handler({name: value for name, value in values.items() if name not in faulty})
            faults += [fault for fault in contradictions(settings) if _name(fault.field) not in faulty]
        else:
            faults = contradictions(settings)
        if faults:
            raise SettingsInvalid(tuple(faults))
        return settings

    @property
    def known_servers(self) -> tuple[Server, ...]:
        """Every server with credentials: the default one first, then those of the file."""
        if not self.prometheus:
            return self.servers
        default = Server(
            address=self.prometheus,
            username=self.prometheus_username,
            password_file=self.prometheus_password_file,
            bearer_token_file=self.prometheus_bearer_token_file,
            tls_cert=self.prometheus_tls_cert,
            tls_key=self.prometheus_tls_key,
            tls_ca=self.prometheus_tls_ca,
            tenant=self.prometheus_tenant,
            tenant_header=self.prometheus_tenant_header,
        )
        return (default, *self.servers)


def load_settings(flags: Mapping[str, object] | None = None) -> Settings:
    """The settings of this process. `flags` by field name; None and empty lists are flags that were not given."""
    return Settings(**{name: value for name, value in (flags or {}).items() if value not in (None, [], ())})  # type: ignore[arg-type]


def read_settings_file(path: object) -> dict[str, Any]:
    """The file's settings by field name; nothing without a path. Raises SettingsInvalid when it is not a YAML mapping."""
    if not path:
        return {}
    import yaml  # only where a file is used

    try:
        content = yaml.safe_load(Path(str(path)).read_text(encoding="utf-8"))
    except OSError:
        return {}  # told by the field's own check, together with the other faults
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsInvalid((Fault("config", str(path), f"must be YAML: {_one_line(error)}"),)) from None
    if not isinstance(content or {}, dict):
        raise SettingsInvalid((Fault("config", str(path), "must be a mapping of settings at its top level"),))
    return {_name(key): _field_names(value) for key, value in (content or {}).items()}


def contradictions(settings: Settings) -> list[Fault]:
    """What is wrong between fields that are each right for themselves."""
    return [
        *_pairs(settings),
        *_timing(settings),
        *(fault for index, server in enumerate(settings.servers) for fault in _login(server, f"servers.{index}.")),
        *_login(settings, "prometheus-"),
    ]


def with_settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with its parameter `settings` replaced by one command line option per field of Settings.

        @app.command()
        @with_settings_options
        def serve(settings: Settings) -> None: ...

    Other parameters stay. Raises SettingsError before the command runs; the caller of the command line prints it.
    """

    def run(**given: Any) -> Any:
        flags = {name: given.pop(name) for name in _flag_fields()}
        return command(settings=load_settings(flags), **given)

    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature([*own, *serve_options()])  # type: ignore[attr-defined]
    return run


def serve_options() -> list[inspect.Parameter]:
    """One typer option per field, all as text: the fields parse, so every source has the same rules and messages."""
    import typer  # only the command line needs it

    options = []
    for name, field in _flag_fields().items():
        repeatable = field.annotation == tuple[str, ...]
        option = typer.Option(
            flag(name),
            help=f"{field.description} [default: {default_text(field)}]" if default_text(field) else field.description,
            metavar=metavar(field),
            show_default=False,
        )
        kind: Any = list[str] if repeatable else str
        annotation = Annotated[kind | None, option]
        options.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return options


def flag(name: str) -> str:
    """The field's command line flag, as `--refresh-interval`."""
    return "--" + name.replace("_", "-")


def environment_variable(name: str) -> str:
    """The field's environment variable, as `HEADWAY_REFRESH_INTERVAL`."""
    return ENVIRONMENT_PREFIX + name.upper()


def default_text(field: FieldInfo) -> str:
    """The default as one would write it; empty where there is none."""
    if field.default in (None, "", ()):
        return ""
    return duration_text(field.default) if isinstance(field.default, float) else str(field.default)


def duration_text(seconds: float) -> str:
    """Seconds as a Go duration, as `1h`."""
    return str(durationpy.to_str(timedelta(seconds=seconds))).replace("h0m", "h").replace("m0s", "m") or "0s"


def metavar(field: FieldInfo) -> str:
    """What kind of value the field takes, in one capital word."""
    if isinstance(field.default, float):
        return "DURATION"
    if isinstance(field.default, int):
        return "NUMBER"
    if _address in _checks(field):
        return "HOST:PORT"
    return _KINDS.get(str(field.annotation), "TEXT")


_KINDS: dict[str, str] = {}


def _checks(field: FieldInfo) -> list[object]:
    return [getattr(item, "func", None) for item in field.metadata]


def _flag_fields() -> dict[str, FieldInfo]:
    return {name: field for name, field in Settings.model_fields.items() if name != "servers"}


def _pairs(settings: Settings) -> list[Fault]:
    faults = []
    if settings.tls_cert and not settings.tls_key:
        faults.append(Fault("tls-cert", str(settings.tls_cert), "needs tls-key"))
    if settings.tls_key and not settings.tls_cert:
        faults.append(Fault("tls-key", str(settings.tls_key), "needs tls-cert"))
    if settings.tls_client_ca and not settings.tls_cert:
        faults.append(Fault("tls-client-ca", str(settings.tls_client_ca), "needs tls-cert and tls-key"))
    return faults


def _timing(settings: Settings) -> list[Fault]:
    faults = []
    interval = settings.refresh_interval
    written = duration_text(interval)
    if interval < SHORTEST_REFRESH_SECONDS or 60 % interval:
        faults.append(Fault("refresh-interval", written, "must be 5s, 6s, 10s, 12s, 15s, 20s, 30s or 1m"))
    if settings.publish_grace >= interval:
        rule = f"must be shorter than refresh-interval ({written})"
        faults.append(Fault("publish-grace", duration_text(settings.publish_grace), rule))
    if settings.stream_lifetime >= settings.max_connection_age:
        rule = f"must be shorter than max-connection-age ({duration_text(settings.max_connection_age)})"
        faults.append(Fault("stream-lifetime", duration_text(settings.stream_lifetime), rule))
    return faults

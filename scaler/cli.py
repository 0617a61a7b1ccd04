"""The command line: `headway serve · demo · top · why · forecast · savings · …`, and what training adds.

Each command imports what it needs when it runs, so that `serve` starts fast and `--help` answers at once.
"""

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from scaler import __version__
from scaler.commands import Exit, Usage
from scaler.commands.models.cli import app as models
from scaler.commands.plain_help import PlainHelp
from scaler.commands.plugins import add_plugin_commands
from scaler.commands.server_flags import on_command_line, with_server_flags
from scaler.errors import SettingsError
from scaler.settings import Settings, with_settings_options

DEFAULT_ADDRESS = "http://localhost:8080"
Address = Annotated[str, typer.Option(envvar="HEADWAY_ADDRESS", help="HTTP address of a running scaler.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        envvar="HEADWAY_TOKEN_FILE", metavar="FILE", help="The read token of the scaler, where it has http-token-file."
    ),
]
CaCert = Annotated[
    Path | None, typer.Option(metavar="FILE", help="PEM of the CA to trust, for an address with https://.")
]
ClientCert = Annotated[
    Path | None, typer.Option(metavar="FILE", help="PEM certificate for a scaler with http-tls: mtls.")
]
ClientKey = Annotated[Path | None, typer.Option(metavar="FILE", help="Its PEM key.")]

EXIT_TEXT = (
    "Exit status: 0 fine · 1 faults found, or nothing ready yet · 2 wrong flags or settings · "
    "3 the scaler or Prometheus could not be reached."
)
SERVE_EXIT_TEXT = (
    "Exit status: 0 fine, ended by SIGTERM or SIGINT · 1 a bug, the log event crashed shows it · 2 wrong flags or "
    "settings, a port that is taken, or a data-dir that cannot be used; the last log line gives the reason."
)
TOP_EXIT_TEXT = (
    "Exit status: 0 fine, ended by Ctrl-C · 2 wrong flags, or the scaler refuses token, certificate or name · "
    "3 the scaler could not be reached at the first look."
)
WHY_EXIT_TEXT = (
    "Exit status: 0 fine, there is a forecast (or mode is reactive) · 1 the trigger is unknown, KEDA gets an error, "
    "there is no forecast yet, or nothing is kept of the time asked for · 2 wrong flags, or the scaler refuses token, "
    "certificate or name · 3 the scaler could not be reached."
)
FORECAST_EXIT_TEXT = (
    "Exit status: 0 fine · 1 the workload is unknown, or its history is too short · 2 wrong flags, or the scaler "
    "refuses token, certificate or name · 3 the scaler could not be reached."
)
SAVINGS_EXIT_TEXT = (
    "Exit status: 0 fine, whatever the verdict · 1 the workload is unknown, nothing is counted yet, or the scaler has "
    "no database · 2 wrong flags, or the scaler refuses token, certificate or name · 3 the scaler could not be reached."
)
SCORES_EXIT_TEXT = SAVINGS_EXIT_TEXT.replace(", whatever the verdict", "").replace("counted", "scored")
ANOMALIES_EXIT_TEXT = (
    "Exit status: 0 fine, also where nothing is listed · 1 the workload is unknown, or the scaler has no database · "
    "2 wrong flags, or the scaler refuses token, certificate or name · 3 the scaler could not be reached."
)
CHECK_EXIT_TEXT = (
    "Exit status: 0 fine, there may be warnings · 1 errors in the file, or a query or a call that failed · 2 wrong "
    "flags, or nothing to check · 3 the scaler or Prometheus could not be reached."
)


WRONG_FLAGS: type[Exception] = typer.BadParameter.__mro__[1]
"""UsageError, which typer does not export"""


class Commands(TyperGroup):
    """Turns wrong settings and wrong usage into a message on stderr and exit status 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (SettingsError, Usage) as error:
            _refuse(ctx.invoked_subcommand, str(error))
            raise typer.Exit(Exit.USAGE) from None
        except WRONG_FLAGS as error:
            if ctx.invoked_subcommand != "serve" or not _logs_json():
                raise  # typer prints it with the usage
            _refuse("serve", error.format_message())  # type: ignore[attr-defined]
            raise typer.Exit(Exit.USAGE) from None


def _refuse(command: str | None, why: str) -> None:
    """Print why a command does not start. For a server that logs JSON it is a line of the log."""
    if command != "serve" or not _logs_json():
        typer.echo(f"headway: {why}", err=True)
        return
    from scaler.telemetry.logs import line_logger

    log = line_logger()
    log.error("start_refused", error=" ".join(why.split()), exit_status=int(Exit.USAGE))


def _logs_json() -> bool:
    """Whether a server started with this command line logs JSON that a program reads. The settings may be wrong, so
    the flag and the variable are read as they are."""
    flags = " ".join(sys.argv[1:]).replace("=", " ")
    wanted = "console" if "--log-format console" in flags else os.environ.get("HEADWAY_LOG_FORMAT", "json")
    return wanted != "console" and not sys.stderr.isatty()


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog=EXIT_TEXT,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """The `headway` executable."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the letter shows a question mark
    for argument in sys.argv[1:]:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            typer.echo(f"headway: {argument!r}: must be UTF-8", err=True)
            raise SystemExit(Exit.USAGE)
    app(prog_name="headway")
    raise SystemExit(0)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"headway {__version__}")
        raise typer.Exit


@app.callback()
def headway(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A KEDA external scaler that forecasts.

    Headway answers KEDA with the demand that must be served by the time a replica ordered now is ready.
    Start with **headway demo**; it needs nothing but this program.
    """


@app.command(cls=PlainHelp, epilog=SERVE_EXIT_TEXT)
@with_settings_options
def serve(settings: Settings) -> None:
    """Run the scaler: the gRPC port for KEDA, the HTTP port for health, telemetry and the API.

    Every option is also an environment variable (--refresh-interval is HEADWAY_REFRESH_INTERVAL) and a line of the
    YAML file given with --config. A flag wins over the environment, the environment over the file. In the environment,
    a repeatable flag is one comma-separated list. The log shows all settings at the start.
    """
    from scaler.commands.serve import serve as run_serve

    run_serve(settings)


@app.command(epilog=EXIT_TEXT)
def demo(
    speed: Annotated[float, typer.Option(min=1, max=600, help="Recorded seconds per real second.")] = 60,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Exit after this many real seconds.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Exit as soon as every workload has a forecast.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per workload and line instead of a table.")
    ] = False,
    grpc_address: Annotated[str, typer.Option(help="Address of the gRPC port for KEDA.")] = "127.0.0.1:50051",
    http_address: Annotated[
        str, typer.Option(help="Address of the HTTP port: health, telemetry, API.")
    ] = "127.0.0.1:8080",
) -> None:
    """Show Headway on three recorded workloads and a generated one at accelerated speed. It needs no other server.

    For each workload the table shows the demand of the last full minute, the forecast (need), the metric that KEDA
    would read, and the replicas that follow by the HPA's arithmetic, next to what a reactive trigger with the same
    threshold would do. A minute is short when demand exceeds what the ready replicas carry.

    The generated workload, tickets, opens on weekdays at 06:00 UTC, 25 s after the start at the default speed. Lines
    below the table show since when each of the two has the replicas for it, and the unserved share of the demand of the
    first 15 minutes. At a speed above 300, the first opening comes before Headway has read the past days.

    The gRPC port is open, with reflection: try headway check --scaler against it.

    --json keys: at, workload, demand, need, metric, active, rung, replicas, ready, short_minutes, replica_hours,
    reactive_replicas, reactive_ready, reactive_short_minutes, reactive_replica_hours, opens_at, opening_replicas,
    opening_ready_at, opening_unserved, reactive_opening_ready_at, reactive_opening_unserved, error. Null before the
    first answer, and the opening where there is none.
    """
    from scaler.commands.demo.command import DemoOptions, run_demo

    raise typer.Exit(run_demo(DemoOptions(speed, seconds, once, as_json, grpc_address, http_address)))


@app.command(epilog=TOP_EXIT_TEXT)
def top(
    sort: Annotated[
        str,
        typer.Option(
            help="name, demand, planned, replicas, replicas_soon, rung, skill, coverage, saved_replica_hours, "
            "saved_short_minutes, model or forecast_at; the worst first, or the largest."
        ),
    ] = "name",
    namespace: Annotated[str, typer.Option(help="Workloads of this namespace alone.")] = "",
    search: Annotated[str, typer.Option(help="Those with this text in NAMESPACE/NAME.")] = "",
    interval: Annotated[float, typer.Option(help="Seconds between two looks: 0.5 to 3600.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print the overview once.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each answer of the scaler as a line of JSON.")] = False,
    address: Address = DEFAULT_ADDRESS,
    token_file: TokenFile = None,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
) -> None:
    """Show all workloads of a running scaler, live: demand, plan, replicas, skill and savings. Ctrl-C ends it.

    The table fits the terminal: a narrow one lacks the columns that matter least, and a low one has fewer rows. Where
    the output is no terminal, each look is printed below the last one. A scaler that goes away is asked on; the last
    line says why.

    Reads /api/v1/triggers of a running scaler; port-forward its HTTP port where it runs in a cluster. The keys of
    --json are in docs/api.md; at most 500 workloads are shown.
    """
    from scaler.commands.http_access import read_access
    from scaler.commands.top.command import TopOptions
    from scaler.commands.top.command import top as run_top

    access = read_access(token_file, ca_cert, client_cert, client_key)
    raise typer.Exit(run_top(TopOptions(sort, namespace, search, interval, once, as_json, address), access))


@app.command(epilog=WHY_EXIT_TEXT)
def why(
    namespace: Annotated[str, typer.Argument(help="Namespace of the ScaledObject.")],
    name: Annotated[str, typer.Argument(help="Name of the ScaledObject.")],
    at: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="What was planned then: 02:31 in the trigger's time zone, ISO 8601, or 2h ago."
        ),
    ] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="List all plans since then, such as 2h.")] = "",
    address: Address = DEFAULT_ADDRESS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer of the scaler as JSON.")] = False,
    token_file: TokenFile = None,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
) -> None:
    """Show why a workload gets its metric; or, before its first forecast, what is missing and until when.

    Reads /api/v1/why/NAMESPACE/NAME of a running scaler; port-forward its HTTP port where it runs in a cluster.
    Exit status 1 where the trigger is unknown or has no answer yet.

    --at and --since read /api/v1/plans/NAMESPACE/NAME: plans of the last week, which the scaler keeps in its
    database when they change, at most one a minute. A time of the day is the last one that has passed.
    """
    from scaler.commands.http_access import read_access
    from scaler.commands.past_plans import PastOptions, explain_past
    from scaler.commands.why import explain

    access = read_access(token_file, ca_cert, client_cert, client_key)
    if at or since:
        raise typer.Exit(explain_past(PastOptions(namespace, name, at, since, address, as_json), access))
    raise typer.Exit(explain(namespace, name, address, as_json, access))


@app.command(epilog=FORECAST_EXIT_TEXT)
def forecast(
    namespace: Annotated[str, typer.Argument(help="Namespace of the ScaledObject.")],
    name: Annotated[str, typer.Argument(help="Name of the ScaledObject.")],
    ahead: Annotated[str, typer.Option(metavar="DURATION", help="How far ahead: 1m to 7d.")] = "1d",
    step: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="Length of a step: a multiple of 1m, or of 1h beyond the trigger's own forecast."
        ),
    ] = "",
    address: Address = DEFAULT_ADDRESS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer of the scaler as JSON.")] = False,
    token_file: TokenFile = None,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
) -> None:
    """Show what demand will be in the next hours, up to a week, for people and capacity planning.

    As far as the trigger's own forecast reaches, usually two hours, that is shown. Further ahead, the mean demand of
    each hour is forecast from its history by the hour, or by a bundle with steps of an hour. The lines on top say what
    each part rests on. Answers to KEDA never rest on it. Of a step that is longer, the largest hour counts.

    Reads /api/v1/forecast/NAMESPACE/NAME of a running scaler; port-forward its HTTP port where it runs in a cluster.
    The keys of --json are in docs/api.md.
    """
    from scaler.commands.forecast import ForecastOptions
    from scaler.commands.forecast import forecast as run_forecast
    from scaler.commands.http_access import read_access

    access = read_access(token_file, ca_cert, client_cert, client_key)
    raise typer.Exit(run_forecast(ForecastOptions(namespace, name, ahead, step, address, as_json), access))


@app.command(epilog=SAVINGS_EXIT_TEXT)
def savings(
    namespace: Annotated[str, typer.Argument(help="Namespace of the ScaledObject; all workloads without it.")] = "",
    name: Annotated[str, typer.Argument(help="Name of the ScaledObject.")] = "",
    days: Annotated[int, typer.Option(help="How many days back: 1 to 366.")] = 30,
    price: Annotated[float | None, typer.Option(help="Price of a replica-hour, in any currency.")] = None,
    address: Address = DEFAULT_ADDRESS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    token_file: TokenFile = None,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
) -> None:
    """Show what Headway was worth to a workload, beside a reactive trigger with the same threshold.

    Both are followed through the HPA's arithmetic, with pods that need the start-up part of leadTime. A minute is short
    when demand exceeds what the ready replicas carry (replicas × threshold); that demand is unserved. Intervals are
    bootstraps over days. docs/trust.md says what is counted, and what the figures do not know.

    Reads /api/v1/savings of a running scaler; port-forward its HTTP port where it runs in a cluster. An hour is there
    when it is over.

    --json keys: days, workloads[namespace, name, mode, first, last, known_days, plan, reactive, plan_cost,
    reactive_cost, difference, worth, sentence]; plan and reactive: replica_hours, short_minutes, unserved_share,
    scale_events; difference: value, low, high of each, replica_hours as a share. worth is null while it is too early.
    """
    from scaler.commands.http_access import read_access
    from scaler.commands.savings.command import SavingsOptions
    from scaler.commands.savings.command import savings as run_savings

    access = read_access(token_file, ca_cert, client_cert, client_key)
    raise typer.Exit(run_savings(SavingsOptions(namespace, name, days, price, address, as_json), access))


@app.command(epilog=SCORES_EXIT_TEXT)
def scores(
    namespace: Annotated[str, typer.Argument(help="Namespace of the ScaledObject.")],
    name: Annotated[str, typer.Argument(help="Name of the ScaledObject.")],
    days: Annotated[int, typer.Option(help="How many days back: 1 to 366.")] = 30,
    lead: Annotated[
        str,
        typer.Option(help="What was forecast: peak (the largest demand that plans look at), or 2, 5, 15, 60 minutes."),
    ] = "peak",
    address: Address = DEFAULT_ADDRESS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer of the scaler as JSON.")] = False,
    token_file: TokenFile = None,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
) -> None:
    """Show how good the forecasts of a workload turned out, by the day, and over all days in the last row.

    within p90: the share of demands within the trigger's own quantile, which promises that share. / newest and / day
    before: the loss over that of the newest observation, and of the demand a day before; below 1 the forecast is
    better. MAPE, sMAPE, MAE, RMSE and bias are of the median. docs/trust.md explains them.

    Reads /api/v1/scores/NAMESPACE/NAME of a running scaler; port-forward its HTTP port where it runs in a cluster. An
    hour is there when it is over. The keys of --json are in docs/api.md.
    """
    from scaler.commands.http_access import read_access
    from scaler.commands.scores import ScoresOptions
    from scaler.commands.scores import scores as run_scores

    access = read_access(token_file, ca_cert, client_cert, client_key)
    raise typer.Exit(run_scores(ScoresOptions(namespace, name, days, lead, address, as_json), access))


@app.command(epilog=ANOMALIES_EXIT_TEXT)
def anomalies(
    namespace: Annotated[str, typer.Argument(help="Namespace of the ScaledObjects; all without it.")] = "",
    name: Annotated[str, typer.Argument(help="Name of the ScaledObject; all of the namespace without it.")] = "",
    days: Annotated[int, typer.Option(help="How many days back: 1 to 366.")] = 30,
    address: Address = DEFAULT_ADDRESS,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, which headway train run --without reads.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
    token_file: TokenFile = None,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
) -> None:
    """List when demand was outside the outer band of its forecast for minutes, the newest first.

    One that lasted for hours is a level shift: the forecast follows it, and training keeps it. docs/trust.md says when
    demand counts as outside.

    Reads /api/v1/anomalies of a running scaler; port-forward its HTTP port where it runs in a cluster.

    --json keys: days, anomalies[namespace, name, trigger, since, until, direction, kind, largest, expected, bound,
    is_over]; --csv has the same columns, with since and until as ISO 8601.
    """
    from scaler.commands.anomalies import AnomaliesOptions
    from scaler.commands.anomalies import anomalies as run_anomalies
    from scaler.commands.http_access import read_access

    access = read_access(token_file, ca_cert, client_cert, client_key)
    raise typer.Exit(run_anomalies(AnomaliesOptions(namespace, name, days, address, as_csv, as_json), access))


@app.command(cls=PlainHelp, epilog=CHECK_EXIT_TEXT)
@with_server_flags
def check(
    context: typer.Context,
    settings: Settings,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Kubernetes YAML, - for stdin.")],
    scaler: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Make KEDA's calls in KEDA's order against this scaler, which then watches the file's triggers.",
        ),
    ] = "",
    keda_version: Annotated[str, typer.Option(metavar="X.Y.Z", help="Version of KEDA that reads the file.")] = "2.20.2",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace of objects without one.")] = "default",
    allow_server_address: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Patterns that the scaler allows as serverAddress; default: any address."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Check only the file; send no request.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable report.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="Use TLS to the scaler, with the system's CAs.")] = False,
    ca_cert: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="PEM of the CA to trust; switches TLS on.")
    ] = None,
    client_cert: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="PEM certificate for the scaler.")
    ] = None,
    client_key: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Its PEM key.")] = None,
) -> None:
    """Check a ScaledObject before KEDA reads it, and a running scaler as KEDA would see it.

    A trigger of type external or external-push is Headway's when its metadata has a query, or when its scalerAddress
    has "headway" in it; one of type prometheus when its query reads headway_planned_demand. Each fault is reported with
    line, rule and fix; its query, and that of every prometheus trigger, is tried at its serverAddress (or at
    --prometheus), with the replicas that would follow. TriggerAuthentications in the file are read for their
    parameters; other documents are skipped.

    Access to Prometheus is configured as for headway serve: by flags, environment variables, or --config. --prometheus
    on the command line replaces every serverAddress (for a port forward); from the environment or the file it applies
    to triggers without one.

    --scaler calls the scaler as KEDA does. The scaler then watches the file's triggers: it fetches their history and
    forecasts them until no call has come for trigger-expiry (1h by default). Nothing in the cluster changes.

    error: it does not work, or does not do what the file says. warning: it works, and causes harm in an outage or at a
    peak.

    --json keys: file, keda_version, errors, warnings, objects[kind, namespace, name, findings[level, rule, line, field,
    text, fix], queries[trigger, server, query, tried, demand, replicas, error], calls[phase, rpc, trigger,
    milliseconds, status, answer, number, error, consequence]].
    """
    from scaler.commands.check.command import CheckOptions, read_patterns, read_tls
    from scaler.commands.check.command import check as run_check
    from scaler.history.sources import access_of

    options = CheckOptions(
        file=file,
        prometheus=settings.prometheus,
        prometheus_for_all=on_command_line(context, "prometheus"),
        access=access_of(settings),
        scaler=scaler,
        keda_version=keda_version,
        namespace=namespace,
        allow_server_address=read_patterns(allow_server_address or ()) or settings.allow_server_address,
        offline=offline,
        as_json=as_json,
        tls=read_tls(tls, ca_cert, client_cert, client_key),
    )
    raise typer.Exit(run_check(options))


app.add_typer(models, name="models")
add_plugin_commands(app)


if __name__ == "__main__":
    main()

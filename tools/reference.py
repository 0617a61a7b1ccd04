"""The reference pages under docs/, made from the tables in the code: `PAGES` maps each path to its content."""

from collections.abc import Callable, Iterable, Sequence

from pydantic.fields import FieldInfo

from scaler.bundle import read_bundle
from scaler.forecast.catalog import GENERAL
from scaler.plan.policies import POLICIES
from scaler.settings.fields import ListedTrigger, Server, Settings
from scaler.settings.options import default_text, environment_variable, flag, flag_fields, is_repeatable, placeholder
from scaler.settings.rules import written
from scaler.telemetry.metrics import EVENTS, FIGURES, Figure
from scaler.trigger.schema import TRIGGER_KEYS, TriggerKey

GENERATED = "<!-- Generated from {source} by `make docs`: change it there. -->"


TRIGGER = """\
KEDA hands Headway the `metadata` of a trigger whose `type` is `external` or `external-push`. Every value is a string,
so numbers and booleans are quoted in YAML. A `prometheus` trigger can be pasted: `query`, `threshold`,
`activationThreshold`, `serverAddress`, `namespace`, `queryParameters` and `timeout` mean the same.
Complete examples: [keda.md](keda.md)."""

TRIGGER_MORE = """\
* A key with the suffix `FromEnv` is read as its plain name: KEDA has put the value of the environment variable there.
* Values are trimmed, and a blank one counts as absent, as in KEDA.
* `scalerAddress`, `enableTLS` and `unsafeSsl` are KEDA's own and ignored here. So are keys that its `prometheus`
  trigger once had: `metricName`, `cortexOrgID`, `disableScaleToZero`; `headway check` advises to remove them.
* Credentials (`bearerToken`, `username`, `password`, `customHeaders`, …) are refused, because metadata is stored and
  travels in the clear. Server-side credentials are a setting: [settings.md](settings.md).
* Any other key is a fault, with the nearest known key in the message.
* GetMetrics and IsActive report all faults at once; the event `KEDAScalerFailed` of the ScaledObject shows them.
  GetMetricSpec always answers, with a placeholder target where `threshold` cannot be read, so that the other triggers
  of the ScaledObject keep working.
* What the three values of `policy` do: [policies.md](policies.md)."""

SETTINGS = """\
What `headway serve` reads, each from the first place that has it: the flag, the environment variable, the YAML file
given with `--config`, the default. Durations carry their unit, as in Go: `15s`, `2m`, `1h30m`. Wrong settings are
refused at start, all faults at once, and the process ends with status 2.

In the file the settings are spelled as the flags without their dashes in front:

```yaml
prometheus: http://prometheus.monitoring:9090
refresh-interval: 15s
allow-server-address:
  - https://mimir.*.example.com
servers:
  - pattern: https://mimir.eu.example.com
    bearer-token-file: /etc/headway/mimir-token
triggers:
  - namespace: shop
    name: web
    metadata:
      query: sum(rate(http_requests_total{app="web"}[2m]))
      threshold: "100"
```"""

FILES = """\
## Files

Tokens, passwords, certificates, keys and authorities are read again when their file changes, with the next request or
connection, whether it was written anew or a link was moved (as Kubernetes does with Secrets). A file that is wrong at
that moment (missing, half written, a key of another certificate, a token of two lines) leaves the last good one in use,
and the log shows `files_not_renewed` once."""

PROXIES = """\
## Proxies

Every request of `serve`, `check`, `why`, `replay` and `data pull` follows `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and
`NO_PROXY` of the environment; names in lower case win. `NO_PROXY` takes names (`example.com` covers all below it,
`.example.com` only what is below it), addresses, IPv4 and IPv6 networks (`10.0.0.0/8`, `fd02::/112`, in brackets too),
each with a port where only that port is meant, and `*`. This machine (`localhost`, 127.0.0.0/8, `::1`) is never asked
through a proxy. A proxy must be `http://` or `https://`: where a variable names another kind, as SOCKS, whatever would
go through it fails with an error that names the variable."""

TELEMETRY = """\
`/metrics` on the HTTP port, in Prometheus's text form. Names end in their base unit; `_total` counts since the start
of the process. In the figures of a trigger, `namespace` and `name` are those of its ScaledObject and `trigger` is a
short hash of what was asked for, which tells two triggers of one ScaledObject apart.

* Scrape with `honor_labels: true`. Otherwise Prometheus puts the scaler's own namespace into `namespace`, and what is
  meant here becomes `exported_namespace`.
* Every replica exports the triggers that KEDA asked it about, and all agree. Take `max by (namespace, name, trigger)`.
* Ten thousand triggers are about 110,000 lines, 10 MB. They are written a few at a time between answers to KEDA.
* Beside these there are the usual `process_…` and `python_gc_…` figures."""

EVENTS_TEXT = """\
One JSON object per line on stderr (`--log-format console` for people), with `event`, `level`, `timestamp` and, while a
request is handled, `request_id`. Credentials and the values of metadata are left out."""

GENERAL_TEXT = """\
The bundle that forecasts where no other does. It learned from the demand of other people, so it wants no training: an
hour of history is enough to begin with, a day is better, weeks are best. Where it has nothing sound to say, the
`seasonal` bundle answers, which has learned nothing. `make default-bundle TRACES=FOLDER` makes it anew from the
recorded systems and prints these scores again."""

GENERAL_SCORES = """\
On one-minute series of systems that it has *not* learned from: each system below was left out in turn, and those that
no licence lets it learn from were only ever judged. Loss: pinball loss of the peak of the coming minutes, all levels,
over that of the seasonal bundle, so below 1 is better; the median over the series, and the worst series. Covered: how
often the peak was within its 0.9 quantile.

These scores flatter. No series was learned from before it was judged, but choices were made by looking at the results:
target, mixture of the data and dropout on the two systems that are only judged, the shares of networks and seasonal
model on three that were left out. No seventh system has been looked at."""

POLICIES_TEXT = """\
A trigger's `policy` names one of these sets. `beyond`: a plan is for the lead time and so much longer. `hold`: capacity
that the forecast needs again this soon, at this lower quantile, is not given back. `furthest step`: a plan never asks
for more than this, however high the forecast."""


def trigger_page() -> str:
    """docs/trigger.md: every key of the trigger's metadata."""
    rows = [_key_row(key) for key in TRIGGER_KEYS]
    return _page(
        "The trigger",
        "scaler/trigger/schema.py",
        TRIGGER,
        _table(("key", "default", "meaning", "rule"), rows),
        TRIGGER_MORE,
    )


def settings_page() -> str:
    """docs/settings.md: every setting of `headway serve`."""
    return _page(
        "Settings",
        "scaler/settings/fields.py",
        SETTINGS,
        *(_setting(name, field) for name, field in flag_fields().items()),
        "## `servers:`\n\n" + str(Settings.model_fields["servers"].description),
        _table(("key", "default", "meaning"), [_entry_row(name, f) for name, f in Server.model_fields.items()]),
        "## `triggers:`\n\n" + str(Settings.model_fields["triggers"].description),
        _table(("key", "default", "meaning"), [_entry_row(name, f) for name, f in ListedTrigger.model_fields.items()]),
        FILES,
        PROXIES,
    )


def telemetry_page() -> str:
    """docs/telemetry.md: every exported figure and every event of the log."""
    events = [(_code(e.name), e.level, ", ".join(map(_code, e.fields)), e.meaning) for e in EVENTS]
    return _page(
        "Telemetry",
        "scaler/telemetry/metrics.py",
        TELEMETRY,
        "## Figures",
        _table(("name", "type", "labels", "unit", "meaning"), [_figure_row(figure) for figure in FIGURES]),
        "## Events in the log",
        EVENTS_TEXT,
        _table(("event", "level", "fields", "meaning"), events),
    )


def policies_page() -> str:
    """docs/policies.md: the named sets of hold and step limits."""
    rows = [
        (
            _code(policy.name.value),
            f"{policy.beyond_seconds / 60:g} min",
            f"{policy.hold_seconds / 60:g} min",
            f"{policy.hold_quantile:g}",
            f"{policy.step_factor:g} × observed + {policy.step_replicas:g} replicas",
            f"{policy.absurd_factor:g} × the largest ever observed",
            policy.meaning,
        )
        for policy in POLICIES.values()
    ]
    steps = [
        (_code(policy.name.value), *(f"{policy.step_factor * now + policy.step_replicas:g}" for now in _NOW))
        for policy in POLICIES.values()
    ]
    return _page(
        "Policies",
        "scaler/plan/policies.py",
        POLICIES_TEXT,
        _table(("policy", "beyond", "hold", "at quantile", "furthest step", "believed up to", "meaning"), rows),
        "The furthest step in replicas, when the observed demand is carried by so many:",
        _table(("policy", *(f"{now} now" for now in _NOW)), steps),
    )


_NOW = (0, 2, 10, 50)


def general_page() -> str:
    """docs/general-bundle.md: what the bundle that ships learned from, and how it does on strangers."""
    manifest = read_bundle(GENERAL).manifest
    systems = [(name.removesuffix(": loss"), f"{value:.2f}") for name, value in manifest.scores.items() if "_" in name]
    names = [name.removesuffix(": loss") for name in manifest.scores if ", " in name and name.endswith(" min: loss")]
    rows = [
        (
            *name.split(", "),
            *(f"{manifest.scores[f'{name}: {score}']:.2f}" for score in ("loss", "worst loss")),
            f"{manifest.scores[f'{name}: p90 coverage']:.3f}",
        )
        for name in names
    ]
    return _page(
        "The general bundle",
        "scaler/bundle/shipped/general/manifest.json",
        GENERAL_TEXT,
        _table(("", ""), [(key, text) for key, text in manifest.trained.items()]),
        "## Scores",
        GENERAL_SCORES,
        _table(("history", "peak of the next", "loss", "worst series", "covered"), rows),
        "Five minutes ahead with weeks of history, by system:",
        _table(("system", "loss"), systems),
        "## Terms of the data",
        "\n".join(f"* {line}" for line in manifest.data_licence.split("; ")),
    )


PAGES: dict[str, Callable[[], str]] = {
    "docs/trigger.md": trigger_page,
    "docs/settings.md": settings_page,
    "docs/telemetry.md": telemetry_page,
    "docs/policies.md": policies_page,
    "docs/general-bundle.md": general_page,
}


def _page(title: str, source: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", GENERATED.format(source=source), *(part for part in parts if part)]) + "\n"


def _key_row(key: TriggerKey) -> tuple[str, str, str, str]:
    default = "**required**" if key.required else _code(key.default)
    return _code(key.name), default, key.meaning, key.rule


def _setting(name: str, field: FieldInfo) -> str:
    default = default_text(field)
    repeatable = "; repeatable" if is_repeatable(field) else ""
    return (
        f"### `{flag(name)} {placeholder(field)}`\n\n{field.description}\n\n"
        f"* default: {_code(default) or 'none'}{repeatable}\n"
        f"* environment: `{environment_variable(name)}`\n"
        f"* file: `{written(name)}:`"
    )


def _entry_row(name: str, field: FieldInfo) -> tuple[str, str, str]:
    default = "**required**" if field.is_required() else _code(default_text(field))
    return _code(written(name)), default, str(field.description)


def _figure_row(figure: Figure) -> tuple[str, str, str, str, str]:
    return (
        _code(figure.name),
        figure.kind.value,
        ", ".join(map(_code, figure.labels)),
        figure.unit.value,
        figure.meaning,
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(map(_line, [head, ["---"] * len(head), *rows]))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""

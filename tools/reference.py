"""The reference pages under docs/, made from the tables in the code: `PAGES` maps each path to its content."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from scaler.bundle import read_bundle
from scaler.forecast.catalog import GENERAL
from scaler.plan.policies import POLICIES
from scaler.settings.fields import ListedTrigger, Server, Settings
from scaler.settings.options import default_text, environment_variable, flag, flag_fields, is_repeatable, placeholder
from scaler.settings.rules import written
from scaler.telemetry.events import EVENTS
from scaler.telemetry.figure import Figure
from scaler.telemetry.figures import FIGURES
from scaler.trigger.schema import TRIGGER_KEYS, TriggerKey
from scaler.trigger.sizes import LONGEST_VALUE, MOST_CHARACTERS, MOST_KEYS

ALERTS = Path(__file__).parent.parent / "helm" / "headway" / "files" / "rules" / "alerts.yaml"

GENERATED = "<!-- Generated from {source} by `make docs`: change it there. -->"


TRIGGER = """\
KEDA passes the `metadata` of a trigger whose `type` is `external` or `external-push` to Headway. Every value is a
string, so quote numbers and booleans in YAML. You can paste the metadata of a `prometheus` trigger: `query`,
`threshold`, `activationThreshold`, `serverAddress`, `namespace`, `queryParameters` and `timeout` have the same meaning.
Complete examples: [keda.md](keda.md)."""

TRIGGER_MORE = """\
* A ScaledObject with the annotation `headway.dev/forecast` writes keys that only Headway has as annotations
  (`headway.dev/lead-time`), and the others in its own `prometheus` trigger: [keda.md](keda.md#discovery).
* A key with the suffix `FromEnv` is read as its plain name: KEDA replaces its value with that of the environment
  variable.
* Values are trimmed. A blank value counts as absent, as in KEDA.
* Headway ignores KEDA's own keys `scalerAddress`, `enableTLS` and `unsafeSsl`. It also ignores keys of older
  `prometheus` triggers: `metricName`, `cortexOrgID`, `disableScaleToZero`. `headway check` advises you to remove them.
* Credentials (`bearerToken`, `username`, `password`, `customHeaders`, …) are refused, because metadata is stored and
  transmitted in plain text. Credentials for servers are a setting: [settings.md](settings.md).
* Any other key is a fault. The message names the nearest known key.
* The metadata of one trigger has at most {keys} keys, {value:,} characters in one value, and {all:,} in all.
* A message repeats a value of more than 16 characters by its first and last four only: it may be a secret in the wrong
  field.
* GetMetrics and IsActive report all faults at once; the event `KEDAScalerFailed` of the ScaledObject shows them.
  GetMetricSpec always answers, with a placeholder target where `threshold` cannot be read, so that the other triggers
  of the ScaledObject keep working.
* What the three values of `policy` do: [policies.md](policies.md)."""

SETTINGS = """\
The settings of `headway serve`. Each is read from the first place that has it: the flag, the environment variable, the
YAML file of `--config`, the default. Durations have a unit, as in Go: `15s`, `2m`, `1h30m`.

| exit status | meaning | last event of the log |
| --- | --- | --- |
| 0 | ended by SIGTERM or SIGINT | `stopped` |
| 1 | a bug | `crashed` |
| 2 | wrong flags, settings or files, a port that is taken, or a `data-dir` that cannot be used | `start_refused` |
| 137 | killed: out of memory, or the drain took longer than the grace period of the pod | |
| 143 or 130 | ended without a drain by a second SIGTERM or SIGINT, a second or more after the first | `draining` |

SIGHUP reads again what can be read again: the files below, and the place of `bundle`. The event `reloaded` names the
settings that have changed in the file of `config`; they need a restart. SIGUSR1, SIGUSR2 and SIGPIPE do nothing.

What may recover by itself never ends the process; it answers meanwhile and logs an error or a warning: a database that
refuses (`store_refused`) or is down (`store_unavailable`), Redis (`cache_unavailable`), a bundle that cannot be used
(`bundle_refused`), a certificate that has expired or is not valid yet (`certificate_not_valid`). An outage of
PostgreSQL while pods start must not stop scaling, so a wrong password is an error in the log, not an exit.

In the file, settings are spelled like the flags without the leading dashes:

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

Tokens, passwords, certificates, keys and certificate authorities are read again when their file changes, with the next
request or connection. The file may be rewritten, or a link to it moved (as Kubernetes does with Secrets). If a file is
wrong at that moment (missing, half written, a key of another certificate, a token of two lines), the last good one
stays in use, and the log shows `files_not_renewed` once (`headway_stale_files` counts them). When certificates expire
is in `headway_certificate_expiry_timestamp_seconds`.

The same holds for the files that a `rediss://` URL names. Those of a `postgresql://` URL are read for every new
connection, which fails while one of them is wrong. `config` is read at the start, and `bundle` once a minute."""

PROXIES = """\
## Proxies

Every request of `serve`, `check`, `why`, `replay` and `data pull` follows `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and
`NO_PROXY` of the environment. Names in lower case take precedence. `NO_PROXY` accepts:

* names: `example.com` covers itself and its subdomains, `.example.com` only the subdomains;
* addresses, and IPv4 and IPv6 networks: `10.0.0.0/8`, `fd02::/112`, in brackets too;
* each of these with a port, which limits it to that port;
* `*`.

Requests to this machine (`localhost`, 127.0.0.0/8, `::1`) never use a proxy. A proxy must be `http://` or `https://`.
If a variable names another kind, such as SOCKS, requests through it fail with an error that names the variable."""

TELEMETRY = """\
The HTTP port serves `/metrics` in Prometheus's text format. Names end in their base unit; `_total` counts since the
start of the process. In the figures of a trigger, `namespace` and `name` are those of its ScaledObject. `trigger` is a
short hash of its settings, which distinguishes two triggers of one ScaledObject.

* Scrape with `honor_labels: true`. Otherwise Prometheus puts the scaler's own namespace into `namespace`, and the
  ScaledObject's namespace into `exported_namespace`.
* Every replica of Headway exports the triggers that KEDA called it about, and all export the same values. Use
  `max by (namespace, name, trigger)`. What has the label `by` is counted by one replica at a time: add these up.
* Ten thousand triggers are about 260,000 lines, 25 MB. They are written a few at a time between answers to KEDA.
* The usual `process_…` and `python_gc_…` figures are exported too."""

WATCH_TEXT = """\
Three views answer most questions. Names with a colon are recorded by
[recording.yaml](../helm/headway/files/rules/recording.yaml).

**Calls of KEDA: rate, errors, duration.**

| question | expression | good |
| --- | --- | --- |
| how many calls, and how do they end? | `method_code:headway_rpc_calls:rate5m` | mostly `OK` |
| how many fail by a fault of Headway? | `method:headway_rpc_errors:ratio_rate5m` | 0 |
| how long do they take? | `method:headway_rpc_duration_seconds:p99_5m` | below 0.01 s |
| how long do they wait before? | `instance:headway_event_loop_delay_seconds:p99_5m` | below 0.1 s |

**Refresh: is it on time, and complete?**

| question | expression | good |
| --- | --- | --- |
| when was the last one? | `instance:headway_refresh_age_seconds` | below two intervals |
| where does its time go? | `instance_step:headway_refresh_step_duration_seconds:mean5m` | below the interval |
| do forecasts wait? | `rate(headway_forecast_deferrals_total[15m])` | 0 |
| does history arrive? | `headway_backfill_oldest_wait_seconds`, `headway_queue_length` | 0 minutes after a start |
| which source fails, and how? | `sum by (server, kind) (rate(headway_source_errors_total[5m]))` | empty |
| who does the work? | `headway_leases`, `headway_orphaned_triggers` | equal shares; no orphans |
| since when does a replica run? | `time() - process_start_time_seconds` | grows |

**Workloads: do they get forecasts, and what do these change?**

| question | expression | good |
| --- | --- | --- |
| how many are on which rung? | `rung:headway_triggers:count` | rung 3; rung 1 for mode reactive and new workloads |
| which share of answers is worse than it could be? | `headway:lower_rung_answers:ratio_rate10m` | near 0 |
| what is planned? | `trigger:headway_planned_demand:max` beside `headway_observed_demand` | rises first |
| how many replicas is that? | `trigger:headway_wanted_replicas:max` | |
| how old is the forecast? | `trigger:headway_forecast_age_seconds:min` | below two intervals |"""

ALERTS_TEXT = """\
[recording.yaml](../helm/headway/files/rules/recording.yaml) and
[alerts.yaml](../helm/headway/files/rules/alerts.yaml) are rule files for Prometheus; load both. The chart makes a
PrometheusRule of them. The rules find Headway by `headway_build_info`, whatever the name of the scrape job. `critical`
means that scaling has stopped or is about to stop; `warning`, that forecasts, redundancy or a single workload are
affected. [The runbook](runbook.md) has a section for each."""

EVENTS_TEXT = """\
The log is one JSON object per line on stderr (`--log-format console` for people). Each has `event`, `level`,
`timestamp` and, during a request, `request_id`. Credentials and the values of metadata are never logged."""

GENERAL_TEXT = """\
The general bundle forecasts when no other bundle is set. It learned from recorded demand of other systems, so it needs
no training. One hour of history is the minimum; a day is better, and weeks are best. Where it has no valid forecast,
the `seasonal` bundle answers, which contains no learned model. `make default-bundle TRACES=FOLDER` builds the general
bundle from the recorded systems and prints these scores again."""

GENERAL_SCORES = """\
The scores are of one-minute series of systems that the bundle has *not* learned from. Each system below was left out of
training in turn. Systems whose licence does not allow training were only ever judged.

* **loss**: pinball loss of the peak of the next minutes, all levels, over that of the seasonal bundle. Below 1 is
  better. The median over the series, and the worst series.
* **covered**: how often the peak was within its 0.9 quantile.

These scores are optimistic. No series was used for training before it was judged, but the results guided some choices:
target, mixture of the data and dropout on the two systems that are only judged, and the shares of networks and seasonal
model on three that were left out. There is no seventh system that guided no choice.

The seasonal bundle is a strong rival. Naive forecasts are the usual one, see below."""

GENERAL_NAIVE = """\
Losses over those of seasonal naive (the same time yesterday or last week) and of persistence (the newest value), both
with quantiles of their own errors. Geometric mean over the series of a system, then over systems that the bundle has
not learned from. WQL and MASE are of single steps up to two hours ahead. By system:
[performance.md](performance.md#forecasts-next-to-naive-ones)."""

POLICIES_TEXT = """\
A trigger's `policy` names one of these sets of limits.

* **look-ahead**: a plan covers the lead time and this much more, and at least 1.6 times the `queryStep`, or the step
  that the history shows, where that is longer than a minute. Where past days make up at least 80 % of the forecast,
  replicas are ordered only when they are needed within the lead time and 15 s. The order then covers the whole
  look-ahead, with 3 % in reserve, and is kept until its demand is there (rule `order`).
* **hold**: a plan keeps capacity that the forecast needs again within this time, at this quantile. The quantile is
  lower than the trigger's own. Where past days make up at least 80 % of the forecast, all policies but `conservative`
  hold for at most five minutes plus the lead time.
* **highest step**: a plan never asks for more than this, or than the largest demand on record, however high the
  forecast.
* **upper limit**: a plan never exceeds this. A forecast above it is implausible.

With every policy, rule `coverage` watches forecasts of which past days make up less than 80 %. Where demand exceeds the
trigger's quantile of the peak too often, a higher quantile is read in its place, up to p99, and a lower one again where
it does not ([decision 30](decisions/0030-which-quantile-is-read.md)). Rule `calibration` watches the other forecasts.
Where demand exceeds the quantile of past days by more than 5 % too often, what past days show is multiplied by a factor
from 1.05 to 2. Half of the factor is forgotten in six hours.

With every policy, rule `returning` keeps what was observed before a source was away, for five minutes after it has
returned: averages over a window that is not full yet show too little. It orders nothing."""


def trigger_page() -> str:
    """docs/trigger.md: every key of the trigger's metadata."""
    rows = [_key_row(key) for key in TRIGGER_KEYS]
    return _page(
        "The trigger",
        "scaler/trigger/schema.py",
        TRIGGER,
        _table(("key", "default", "meaning", "rule"), rows),
        TRIGGER_MORE.format(keys=MOST_KEYS, value=LONGEST_VALUE, all=MOST_CHARACTERS),
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
        "scaler/telemetry/figures.py",
        TELEMETRY,
        "## Figures",
        _table(("name", "type", "labels", "unit", "meaning"), [_figure_row(figure) for figure in FIGURES]),
        "## What to watch",
        WATCH_TEXT,
        "## Alerts",
        ALERTS_TEXT,
        _table(("alert", "severity", "after", "fires when"), [_alert_row(rule) for rule in _alerts()]),
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
        _table(("policy", "look-ahead", "hold", "at quantile", "highest step", "upper limit", "meaning"), rows),
        "The highest step in replicas, by the number of replicas that carry the observed demand:",
        _table(("policy", *(f"{now} now" for now in _NOW)), steps),
    )


_NOW = (0, 2, 10, 50)


def general_page() -> str:
    """docs/general-bundle.md: what the bundle that ships learned from, and its scores on systems it has not seen."""
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
        "## Next to naive forecasts",
        GENERAL_NAIVE,
        _over_naive(manifest.scores),
        "## Terms of the data",
        "\n".join(f"* {line}" for line in manifest.data_licence.split("; ")),
    )


def _over_naive(scores: Mapping[str, float]) -> str:
    """A row per naive model, a column per figure."""
    found: dict[str, dict[str, float]] = {}
    for name, value in scores.items():
        if name.startswith(_OVER):
            rival, _, figure = name.removeprefix(_OVER).partition(": ")
            found.setdefault(rival, {})[figure] = value
    figures = next(iter(found.values()))
    rows = [(rival, *(f"{value:.2f}" for value in of_rival.values())) for rival, of_rival in found.items()]
    return _table(("general over", *(_figure_name(figure) for figure in figures)), rows)


def _figure_name(figure: str) -> str:
    return f"{figure.removeprefix('peak ')} peak" if figure.startswith("peak ") else figure.upper()


_OVER = "over "

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


def _alerts() -> Iterator[Mapping[str, Any]]:
    """Every alerting rule, in the file's order."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        yield from group["rules"]


def _alert_row(rule: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Labels in the summary are shown as their names in capital letters, the value as N."""
    name = rule["alert"]
    summary = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: found[1].upper(), rule["annotations"]["summary"])
    summary = re.sub(r"{{ \$value[^}]*}}", "N", summary)
    return f"[{name}](runbook.md#{name.lower()})", rule["labels"]["severity"], rule["for"], summary


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(map(_line, [head, ["---"] * len(head), *rows]))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""

"""How good forecasts turned out: coverage, loss against the newest observation, MAPE, bias, also by lead; anomalies."""

from grafana_foundation_sdk.builders.dashboard import Dashboard as Builder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.panels import (
    FULL,
    ORANGE,
    RED,
    THIRD,
    Query,
    dashboard,
    finished,
    lines,
    number,
    row,
    rows,
    variable,
)
from scaler.telemetry.process_figures import LEAD_LEVELS

UID = "headway-quality"
CHOSEN = 'namespace=~"$namespace"'
BY = "by (namespace, name, trigger)"
VARIABLES = (variable("namespace", "Namespace", "label_values(headway_plan_rung, namespace)", is_multi=True),)
LINK = (
    "name",
    "Show this workload",
    "/d/headway-workload/headway-workload?var-datasource=${datasource}&var-namespace=${__data.fields.namespace}"
    "&var-name=${__data.fields.name}&var-trigger=${__data.fields.trigger}",
)


def of(figure: str) -> str:
    """The figure of each trigger that is chosen."""
    return f"max {BY} (headway_{figure}{{{CHOSEN}}})"


COVERAGE, PROMISED = of("peak_coverage_ratio"), of("promised_coverage_ratio")
SKILL, ERROR, BIAS = (of(f"forecast_{name}_ratio") for name in ("skill", "error", "bias"))


def spread(figure: str) -> list[Query]:
    """Half of the triggers lie between the outer two."""
    return [
        Query(f"quantile(0.75, {figure})", "three quarters are below", is_dashed=True),
        Query(f"quantile(0.5, {figure})", "median", RED),
        Query(f"quantile(0.25, {figure})", "a quarter is below", is_dashed=True),
    ]


TRIGGERS = "headway_lead_scored_triggers"


def by_lead(figure: str) -> str:
    """The figure of each lead over all replicas: their mean, weighted with the triggers of each."""
    return f"sum by (lead) ({figure} * {TRIGGERS}) / sum by (lead) ({TRIGGERS} and {figure})"


def coverage_by_lead(level: str) -> str:
    return by_lead(f'max without (level) (headway_lead_coverage_ratio{{level="{level}"}})')


SKILL_BY_LEAD, ERROR_BY_LEAD = by_lead("headway_lead_skill_ratio"), by_lead("headway_lead_error_ratio")
SHARES_BY_LEAD = {
    **{f"within {level}": coverage_by_lead(level) for level in LEAD_LEVELS},
    "loss saved": SKILL_BY_LEAD,
    "MAPE": ERROR_BY_LEAD,
}


def summarize(board: Builder) -> None:
    """How many are scored, and how good they are."""
    (
        board.with_panel(
            number("Scored", "Triggers whose forecasts have come due.", Query(f"count({COVERAGE})", "triggers"))
        )
        .with_panel(
            number(
                "Coverage, promised less held",
                "Mean over triggers. Above 0, fewer peaks are within the trigger's quantile than it promises.",
                Query(f"avg({PROMISED} - {COVERAGE})", "gap"),
                unit="percentunit",
                steps=((0.03, ORANGE), (0.1, RED)),
            )
        )
        .with_panel(
            number(
                "Worse than the newest observation",
                "Triggers whose forecasts of the peak lose more than the newest observation would.",
                Query(f"count({SKILL} < 0) or vector(0)", "triggers"),
                steps=((1, ORANGE),),
            )
        )
        .with_panel(
            number(
                "MAPE, five minutes ahead",
                "Median over triggers of the mean absolute error of the median, over demand.",
                Query(f"quantile(0.5, {ERROR})", "MAPE"),
                unit="percentunit",
            )
        )
    )


def show_all(board: Builder) -> None:
    """The spread over all triggers."""
    (
        board.with_row(row("All triggers"))
        .with_panel(
            lines(
                "Coverage of the peak",
                "Share of peaks that were within the quantile.",
                [
                    *spread(COVERAGE),
                    Query(f"avg({PROMISED})", "promised, mean"),
                ],
                unit="percentunit",
            )
        )
        .with_panel(
            lines(
                "Pinball loss saved",
                "1 minus the loss of the peak over that of the newest observation: 0 is no better.",
                spread(SKILL),
                unit="percentunit",
                minimum=None,
            )
        )
        .with_panel(lines("MAPE", "Five minutes ahead.", spread(ERROR), unit="percentunit"))
        .with_panel(
            lines(
                "Bias",
                "Five minutes ahead: 1 where forecasts were always too high, -1 where they were always too low.",
                spread(BIAS),
                minimum=None,
            )
        )
    )


def show_leads(board: Builder) -> None:
    """Scores by lead, in all namespaces."""
    (
        board.with_row(row("By lead, in all namespaces"))
        .with_panel(
            rows(
                "Scores by lead",
                "Within: mean share of demand within each quantile, which is to be as large as the quantile's level. "
                "Loss saved, MAPE: medians over triggers.",
                [
                    ("triggers", Query(f"sum by (lead) ({TRIGGERS})", "")),
                    *((column, Query(share, "")) for column, share in SHARES_BY_LEAD.items()),
                ],
                units=dict.fromkeys(SHARES_BY_LEAD, "percentunit"),
                height=8,
            )
        )
        .with_panel(
            lines(
                "Coverage of the 0.9 quantile, by lead",
                "Mean over triggers: 90 % is what it promises.",
                [Query(coverage_by_lead("0.9"), "{{lead}}")],
                unit="percentunit",
                width=THIRD,
            )
        )
        .with_panel(
            lines(
                "Pinball loss saved, by lead",
                "Median over triggers: 0 is no better than the newest observation.",
                [Query(SKILL_BY_LEAD, "{{lead}}")],
                unit="percentunit",
                width=THIRD,
                minimum=None,
            )
        )
        .with_panel(
            lines(
                "MAPE, by lead",
                "Median over triggers.",
                [Query(ERROR_BY_LEAD, "{{lead}}")],
                unit="percentunit",
                width=THIRD,
            )
        )
    )


def show_workloads(board: Builder) -> None:
    """The worst forecasts, and anomalies."""
    (
        board.with_row(row("Workloads"))
        .with_panel(
            rows(
                "Worst forecasts",
                "The 50 that save least of the pinball loss. A click on a name opens the workload.",
                [
                    ("loss saved", Query(f"bottomk(50, {SKILL})", "")),
                    ("coverage", Query(f"{COVERAGE} and bottomk(50, {SKILL})", "")),
                    ("promised", Query(f"{PROMISED} and bottomk(50, {SKILL})", "")),
                    ("MAPE", Query(f"{ERROR} and bottomk(50, {SKILL})", "")),
                ],
                units={
                    "loss saved": "percentunit",
                    "coverage": "percentunit",
                    "promised": "percentunit",
                    "MAPE": "percentunit",
                },
                link=LINK,
            )
        )
        .with_panel(
            lines(
                "Anomalies in an hour",
                "How often demand was outside the band of its forecast for minutes.",
                [Query(f"sum by (direction) (increase(headway_anomalies_total{{{CHOSEN}}}[1h]))", "{{direction}}")],
                width=FULL,
                height=6,
            )
        )
    )


def build() -> Dashboard:
    board = dashboard(UID, "Headway / Forecasts", "How good forecasts turned out, over about a week.", *VARIABLES)
    summarize(board)
    show_all(board)
    show_leads(board)
    show_workloads(board)
    return finished(board)

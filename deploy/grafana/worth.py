"""What Headway was worth: replica-hours and short minutes beside a reactive trigger with the same threshold."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.panels import (
    FULL,
    GREY,
    ORANGE,
    RED,
    Query,
    dashboard,
    finished,
    lines,
    number,
    ranking,
    row,
    variable,
)

UID = "headway-worth"
CHOSEN = 'namespace=~"$namespace"'
VARIABLES = (variable("namespace", "Namespace", "label_values(headway_plan_rung, namespace)", is_multi=True),)
NAMED = "{{namespace}}/{{name}}"


def over(figure: str, side: str, span: str = "$__range", by: str = "") -> str:
    """What a counter grew by in a time, of the plan or the reactive trigger."""
    return f'sum {by}(increase(headway_{figure}{{{CHOSEN}, by="{side}"}}[{span}]))'


def share_unserved(side: str) -> str:
    asked = f"sum(increase(headway_counted_demand_seconds_total{{{CHOSEN}}}[1h]))"
    return f"{over('unserved_demand_seconds_total', side, '1h')} / clamp_min({asked}, 1e-9)"


def saved(figure: str, by: str = "") -> str:
    return f"{over(figure, 'reactive', by=by)} - {over(figure, 'plan', by=by)}"


def build() -> Dashboard:
    hours, minutes = "replica_seconds_total", "short_seconds_total"
    each = "by (namespace, name) "
    return finished(
        dashboard(UID, "Headway / Worth", "What plans cost and avoid, beside a reactive trigger.", *VARIABLES)
        .with_panel(
            number(
                "Replica-hours saved",
                "In the time that is shown. Below 0, plans took more.",
                Query(f"({saved(hours)}) / 3600", "replica-hours"),
            )
        )
        .with_panel(
            number(
                "Replica-hours saved, share",
                "Of those of the reactive trigger.",
                Query(f"({saved(hours)}) / clamp_min({over(hours, 'reactive')}, 1e-9)", "share"),
                unit="percentunit",
            )
        )
        .with_panel(
            number(
                "Short time avoided",
                "Time without enough ready replicas that the reactive trigger would have had beyond.",
                Query(saved(minutes), "avoided"),
                unit="s",
            )
        )
        .with_panel(
            number(
                "Short time left",
                "Time in which demand exceeded what the ready replicas of the plans carry.",
                Query(over(minutes, "plan"), "short"),
                unit="s",
                steps=((60, ORANGE), (3600, RED)),
            )
        )
        .with_row(row("Plan beside reactive"))
        .with_panel(
            lines(
                "Replicas",
                "Mean of an hour, by the HPA's arithmetic.",
                [
                    Query(f"{over(hours, 'plan', '1h')} / 3600", "plan", RED),
                    Query(f"{over(hours, 'reactive', '1h')} / 3600", "reactive", GREY),
                ],
            )
        )
        .with_panel(
            lines(
                "Short time in an hour",
                "Summed over workloads.",
                [
                    Query(over(minutes, "plan", "1h"), "plan", RED),
                    Query(over(minutes, "reactive", "1h"), "reactive", GREY),
                ],
                unit="s",
            )
        )
        .with_panel(
            lines(
                "Demand unserved",
                "Demand beyond what ready replicas carry, as a share of all of an hour.",
                [
                    Query(share_unserved("plan"), "plan", RED),
                    Query(share_unserved("reactive"), "reactive", GREY),
                ],
                unit="percentunit",
                width=FULL,
                height=6,
            )
        )
        .with_row(row("Workloads"))
        .with_panel(
            ranking(
                "Most replica-hours saved",
                "In the time that is shown.",
                Query(f"topk(10, ({saved(hours, each)}) / 3600)", NAMED),
            )
        )
        .with_panel(
            ranking(
                "Fewest replica-hours saved",
                "In the time that is shown; below 0, plans took more.",
                Query(f"bottomk(10, ({saved(hours, each)}) / 3600)", NAMED),
            )
        )
    )

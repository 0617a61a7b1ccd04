"""What the dashboards share: variables, queries, panels, links."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.builders import dashboard as sdk
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

HOME = "https://github.com/headway-dev/headway/blob/main/docs"
TAG = "headway"
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

FULL, HALF, THIRD, QUARTER = 24, 12, 8, 6
"""widths of panels, of the grid's 24 columns"""

# Okabe and Ito's palette (jfly.uni-koeln.de/color): distinct for the colour-blind, on light and dark
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#56B4E9", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#999999"

RUNGS = (
    ("0", "no answer: KEDA gets an error", RED),
    ("1", "observation alone", ORANGE),
    ("2", "forecast alone", BLUE),
    ("3", "forecast and observation", GREEN),
)


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and its legend. colour: of its series; empty: from Grafana's palette."""

    expr: str
    legend: str
    colour: str = ""
    is_dashed: bool = False


def dashboard(uid: str, title: str, description: str, *variables: Any) -> sdk.Dashboard:
    """An empty dashboard with the variable `datasource`, the `variables`, and links to the others."""
    built = (
        sdk.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .editable()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_link("Headway dashboards"))
        .link(sdk.DashboardLink("Documentation").type(model.DashboardLinkType.LINK).url(HOME).target_blank(True))
        .with_variable(sdk.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in variables:
        built = built.with_variable(variable)
    return built


def finished(built: sdk.Dashboard) -> model.Dashboard:
    """The dashboard with the ids of its panels, in their order."""
    made = built.build()
    for place, panel in enumerate(made.panels or [], start=1):
        panel.id_val = place
    return made


def _link(title: str) -> sdk.DashboardLink:
    link = sdk.DashboardLink(title).type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(True).keep_time(True).include_vars(True)


def variable(name: str, label: str, query: str, *, is_multi: bool = False) -> sdk.QueryVariable:
    """A variable with the values of a label, as `label_values(FIGURE, LABEL)`."""
    built = (
        sdk.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(SOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    return built.multi(True).include_all(True).all_value(".*") if is_multi else built


def lines(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str = "short",
    width: int = HALF,
    height: int = 8,
    minimum: float | None = 0,
) -> timeseries.Panel:
    """Lines over time. minimum: where the axis begins; None: at the smallest value."""
    legend = common.VizLegendOptions().display_mode(options.LegendDisplayMode.LIST)
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(height)
        .line_width(1)
        .fill_opacity(0)
        .show_points(options.VisibilityMode.NEVER)
        .legend(legend.placement(options.LegendPlacement.BOTTOM).show_legend(True))
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    )
    if minimum is not None:
        panel = panel.min(minimum)
    for place, query in enumerate(queries):
        panel = panel.with_target(_target(query, place))
        if query.colour:
            panel = panel.override_by_name(query.legend, _style(query))
    return panel


def _style(query: Query) -> list[model.DynamicConfigValue]:
    style = [model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": query.colour})]
    if query.is_dashed:
        style.append(model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}))
    return style


def bars(title: str, description: str, queries: Sequence[Query], **sizes: Any) -> timeseries.Panel:
    """Stacked areas over time."""
    stacked = common.StackingConfig().mode(options.StackingMode.NORMAL).group("A")
    return lines(title, description, queries, **sizes).stacking(stacked).fill_opacity(60)


def number(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "short",
    width: int = QUARTER,
    steps: Sequence[tuple[float, str]] = (),
) -> stat.Panel:
    """The newest value. steps: from which value on it has which colour; below the first it is green."""
    thresholds = [model.Threshold(value=None, color=GREEN), *(model.Threshold(value=v, color=c) for v, c in steps)]
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(4)
        .graph_mode(options.BigValueGraphMode.AREA)
        .color_mode(options.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(sdk.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(thresholds))
        .with_target(_target(query, 0))
    )


def states(title: str, description: str, query: Query, *, width: int = FULL, height: int = 5) -> statetimeline.Panel:
    """Rungs of the fallback ladder over time."""
    values = {value: model.ValueMappingResult(text=text, color=colour) for value, text, colour in RUNGS}
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(width)
        .height(height)
        .mappings([model.ValueMap(options=values)])
        .merge_values(True)
        .with_target(_target(query, 0))
    )


def rows(
    title: str,
    description: str,
    queries: Sequence[tuple[str, Query]],
    *,
    width: int = FULL,
    height: int = 9,
    units: dict[str, str] | None = None,
    link: tuple[str, str, str] | None = None,
) -> table.Panel:
    """A table of instant values, joined by their labels. queries: (column, query). link: (column, title, URL)."""
    names = {f"Value #{chr(65 + place)}": column for place, (column, _) in enumerate(queries)}
    names |= {"Value": queries[0][0]} if len(queries) == 1 else {}
    organised = {"excludeByName": {"Time": True}, "renameByName": names, "indexByName": {}}
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(width)
        .height(height)
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(model.DataTransformerConfig(id_val="organize", options=organised))
    )
    for place, (_, query) in enumerate(queries):
        panel = panel.with_target(_target(query, place).instant().format(PromQueryFormat.TABLE))
    for column, unit in (units or {}).items():
        panel = panel.override_by_name(column, [model.DynamicConfigValue("unit", unit)])
    if link is not None:
        column, text_of_link, url = link
        value = [{"title": text_of_link, "url": url}]
        panel = panel.override_by_name(column, [model.DynamicConfigValue("links", value)])
    return panel


def ranking(title: str, description: str, query: Query, *, unit: str = "short", width: int = HALF) -> bargauge.Panel:
    """The largest values, as bars."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(8)
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target(query, 0).instant())
    )


def note(content: str, *, width: int = FULL, height: int = 3) -> text.Panel:
    """A paragraph in Markdown."""
    return text.Panel().title("").content(content).transparent(True).span(width).height(height)


def row(title: str) -> sdk.Row:
    return sdk.Row(title)


def _target(query: Query, place: int) -> Dataquery:
    return Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(65 + place)).datasource(SOURCE)

"""The chart's generated files: `PAGES` maps each path to its content."""

import json
from collections.abc import Callable
from pathlib import Path

from tools.chart_schema import chart_schema, schema_text
from tools.chart_values import VALUES, Value, every, read_values

README_TEXT = Path(__file__).parent / "chart_readme.md"


def readme_page() -> str:
    """helm/headway/README.md: the written text, and a table of every value."""
    values = read_values(VALUES.read_text())
    properties = chart_schema()["properties"]
    sections = "\n\n".join(_section(value, properties) for value in _grouped(values))
    return README_TEXT.read_text().replace("{{values}}", sections)


def _grouped(values: tuple[Value, ...]) -> list[tuple[str, tuple[Value, ...]]]:
    """(heading, values): the single values first, then one group for each mapping."""
    single = tuple(value for value in values if not value.children)
    return [("General", single)] + [(value.key, (value,)) for value in values if value.children]


def _section(group: tuple[str, tuple[Value, ...]], properties: object) -> str:
    heading, values = group
    rows = [_row(value) for value in every(values) if value.description]
    title = heading if heading == "General" else f"`{heading}`"
    return "\n".join([f"### {title}", "", "| value | type | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _row(value: Value) -> str:
    kind = {str: "string", bool: "bool", int: "int", list: "list", dict: "object"}[type(value.default)]
    default = value.shown_default or f"`{json.dumps(value.default, ensure_ascii=False)}`"
    cells = (f"`{value.key}`", kind, default, value.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


PAGES: dict[str, Callable[[], str]] = {
    "helm/headway/values.schema.json": schema_text,
    "helm/headway/README.md": readme_page,
}

"""Declarations of the paths of the API: what each takes, answers and refuses. The routes and the OpenAPI document are
made from the same ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from scaler.status.parameters import DEFAULT_LIMIT, LARGEST_LIMIT
from scaler.status.schemas import Schema, text, whole


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a path. is_in_path: it is a part of the path, not of the query."""

    name: str
    schema: Schema
    is_in_path: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ApiPath:
    """One path of the API.

    parameters: of the query; those in the path are found in `path`. refusals: statuses that it has beyond 400 and those
    of all paths. keeps: its answers have an ETag. body: media type and schema of what a POST brings.
    """

    path: str
    summary: str
    answer: Schema
    parameters: Sequence[Parameter] = ()
    refusals: Sequence[HTTPStatus] = ()
    keeps: bool = False
    method: str = "GET"
    body: Mapping[str, Schema] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters of the query."""
        return names(self.parameters)

    @property
    def all_parameters(self) -> tuple[Parameter, ...]:
        """Those in the path first."""
        return (*(one for one in IN_PATH if f"{{{one.name}}}" in self.path), *self.parameters)


def names(parameters: Sequence[Parameter]) -> tuple[str, ...]:
    """Their names: what `unknown` takes for known."""
    return tuple(one.name for one in parameters)


def query(name: str, schema: Schema) -> Parameter:
    """A parameter of the query."""
    return Parameter(name, schema)


def page_limit(of: str, default: int = DEFAULT_LIMIT, largest: int = LARGEST_LIMIT) -> Parameter:
    """How many records a page has."""
    return query("limit", whole(f"{of} of a page", minimum=1, maximum=largest, default=default))


def last_days(default: int, most: int) -> Parameter:
    """How far back an answer looks."""
    return query("days", whole("days of the past, up to now", minimum=1, maximum=most, default=default))


NAMESPACE: Final = query("namespace", text("only this namespace"))
NAME: Final = query("name", text("only the ScaledObject of this name"))
AFTER: Final = query("after", text("the `next` of the page before"))
MOMENT: Final = (
    r"^(([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?|[1-9][0-9]{0,2}[smhd]|[0-9]{6,9}(\.[0-9]{1,6})?"
    r"|20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?(Z)?)?)$"
)
"""how moments are written, most of them: see `scaler.status.moments`"""
IN_PATH: Final = (
    Parameter("namespace", text("the namespace of the ScaledObject"), is_in_path=True),
    Parameter("name", text("the name of the ScaledObject"), is_in_path=True),
    Parameter("model", text("a version of a model, as NAME@VERSION"), is_in_path=True),
)

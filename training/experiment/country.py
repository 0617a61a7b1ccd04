"""Checks the country whose holidays a run is to learn."""

from collections.abc import Sequence

from training.errors import ModelError, OrderRefused
from training.models.prophet_fit import public_holidays
from training.recipes import RECIPES, Effort


def refuse_country(country: str, recipes: Sequence[str]) -> None:
    """Raise OrderRefused if no holidays are known for the country, or no recipe learns any."""
    if not country:
        return
    able = [name for name, make in RECIPES.items() if make(Effort()).holidays]
    if not set(able) & set(recipes):
        raise OrderRefused(f"country {country!r}: {', '.join(recipes)} has no holidays; these have: {', '.join(able)}")
    try:
        public_holidays(country, [2024])
    except ModelError as error:
        raise OrderRefused(str(error)) from None

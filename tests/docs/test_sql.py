"""Statements in the documentation run on the tables as they are."""

import pytest
from sqlalchemy import create_engine

from scaler.store.schema import metadata
from tests.docs.pages import Block, of_language


@pytest.mark.parametrize("block", of_language("sql"), ids=str)
def test_statements_run(block: Block) -> None:
    """Each names tables and columns that there are."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        for statement in filter(str.strip, block.text.split(";")):
            connection.exec_driver_sql(statement)
    engine.dispose()

"""Opening the index of models: beside a store, in its database, or on its own."""

from pathlib import Path

from scaler.models import ModelIndex
from scaler.store import Store
from scaler.store.null_models import NullModels
from scaler.store.sql_store import SqlStore, open_store
from scaler.store.stored_models import SqlModels


def open_model_index(url: str | None, data_dir: Path | None, installation: str = "") -> ModelIndex:
    """The index in the database that `open_store` would open with these. Raises SettingsError as it does."""
    store = open_store(url, data_dir, installation)
    return SqlModels(store.database, installation, owns_database=True) if isinstance(store, SqlStore) else NullModels()


def model_index_beside(store: Store, installation: str = "") -> ModelIndex:
    """The index in the database of `store`, which closes it."""
    return SqlModels(store.database, installation) if isinstance(store, SqlStore) else NullModels()

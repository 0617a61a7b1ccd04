"""The order of watched triggers, for pages of them."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Container, Iterator

from scaler.trigger import Trigger


class KeyIndex:
    """The keys of triggers in order, so that one page of them takes time for the page and not for all.

    A key is namespace/name/hash, and names of Kubernetes have no slash.
    """

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._names: list[tuple[str, str]] = []
        """(name, key)"""

    def add(self, trigger: Trigger) -> None:
        insort(self._keys, trigger.key)
        insort(self._names, (trigger.name, trigger.key))

    def remove(self, trigger: Trigger) -> None:
        """Remove one that was added."""
        del self._keys[bisect_left(self._keys, trigger.key)]
        del self._names[bisect_left(self._names, (trigger.name, trigger.key))]

    def keep(self, keys: Container[str]) -> None:
        """Remove all others."""
        self._keys = [key for key in self._keys if key in keys]
        self._names = [(name, key) for name, key in self._names if key in keys]

    def after(self, key: str, namespace: str | None = None, name: str | None = None) -> Iterator[str]:
        """The keys after `key`, of one namespace or one name where these are set."""
        if namespace is None and name is not None:
            yield from self._of_name(key, name)
            return
        prefix = "".join(f"{part}/" for part in (namespace, name) if part is not None)
        for position in range(max(bisect_left(self._keys, prefix), bisect_right(self._keys, key)), len(self._keys)):
            if not self._keys[position].startswith(prefix):
                return
            yield self._keys[position]

    def _of_name(self, key: str, name: str) -> Iterator[str]:
        for position in range(bisect_right(self._names, (name, key)), len(self._names)):
            found, following = self._names[position]
            if found != name:
                return
            yield following

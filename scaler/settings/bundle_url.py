"""The place of the bundles: a folder, or a URL of an allowed protocol. Pure."""

from collections.abc import Collection


def place_fault(place: str, protocols: Collection[str]) -> str:
    """The rule that `place` breaks; empty where it may be read.

    A chained URL (`zip::https://…`) is refused as a whole: each of its parts would be a protocol of its own, and what
    unpacks an archive could be given one that grows without end.
    """
    if "::" in place:
        return "must not be a chained URL (with ::): write the folder or the URL of the files themselves"
    protocol, separator, _ = place.partition("://")
    if separator and protocol.lower() not in protocols:
        known = ", ".join(protocols)
        return f"must have a protocol of bundle-protocols ({known}); to use {protocol}, add it there"
    return ""

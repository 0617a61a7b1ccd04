"""YAML → the ScaledObjects in it, as kubectl and Helm read them, with the line of every field. Pure: text in, no I/O.

scalars.py  one plain scalar → string, number, boolean or null
nodes.py    one document → values, lines, duplicates; merge keys
objects.py  values → ScaledObject, TriggerEntry, Manifest
"""

from scaler.manifest.nodes import FieldPath, ManifestError, dotted_path
from scaler.manifest.objects import (
    EXTERNAL_TYPES,
    Manifest,
    ScaledObject,
    TriggerEntry,
    read_manifest,
    read_object,
    whole_number,
)
from scaler.manifest.scalars import plain_value

__all__ = [
    "EXTERNAL_TYPES",
    "FieldPath",
    "Manifest",
    "ManifestError",
    "ScaledObject",
    "TriggerEntry",
    "dotted_path",
    "plain_value",
    "read_manifest",
    "read_object",
    "whole_number",
]

"""The contract between training and scaler: a trained model as a folder. README.md here is the specification.

Knows no other part of the scaler but its errors and their redaction, and no runtime: a bundle is read and written
without running it.
"""

from scaler.bundle.fetching import fetch
from scaler.bundle.folder import FILES, Bundle, checksum, find_bundles, read_bundle, shown_url, write_bundle
from scaler.bundle.manifest import SCHEMA_VERSION, Manifest, parse_manifest
from scaler.bundle.signature import Found, Sizes, Tensor

__all__ = [
    "FILES",
    "SCHEMA_VERSION",
    "Bundle",
    "Found",
    "Manifest",
    "Sizes",
    "Tensor",
    "checksum",
    "fetch",
    "find_bundles",
    "parse_manifest",
    "read_bundle",
    "shown_url",
    "write_bundle",
]

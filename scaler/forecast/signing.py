"""Signatures of what replicas share: HMAC-SHA256 over the name and the value, by a key that only the replicas have.

A key file has one key per line. The first signs, all of them are accepted, and so is, for an hour, what signed before
the file changed. So keys can be exchanged while replicas run, and see the new file at different moments.
"""

import hmac
import struct
import time
from collections.abc import Callable
from pathlib import Path

from scaler.errors import SettingsError
from scaler.files import FollowedFiles, reason_of

SHORTEST_KEY, LONGEST_FILE_BYTES, MOST_KEYS = 32, 4096, 4
"""characters of a key; bytes of its file; keys in it"""
ROTATION_SECONDS = 3600.0
"""how long a key is accepted after it left the file"""
SIGNATURE_BYTES = 32


class Signer:
    """Signs and checks values with the keys of a file, which is read again when it changes.

    Raises SettingsError where the file cannot be used at the start. `clock` counts seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = FollowedFiles([path], lambda: _read(path))
        self._clock = clock
        self._keys = self._file.current()
        self._retired: dict[bytes, float] = {}
        """keys that left the file, and when"""

    def refresh(self) -> None:
        """Read the file again where it has changed; to be called before a batch of values."""
        keys, now = self._file.current(), self._clock()
        if keys is not self._keys:
            self._retired |= dict.fromkeys(self._keys, now)
            self._keys = keys
        self._retired = {
            key: since for key, since in self._retired.items() if key not in keys and now - since < ROTATION_SECONDS
        }

    def signed(self, name: str, value: bytes) -> bytes:
        """The value with its signature behind it; it counts under this name only."""
        return value + _signature(self._keys[0], name, value)

    def verified(self, name: str, signed: bytes) -> bytes | None:
        """The value without its signature; None where no key of ours has signed it under this name."""
        value, signature = signed[:-SIGNATURE_BYTES], signed[-SIGNATURE_BYTES:]
        accepted = (*self._keys, *self._retired)
        if any(hmac.compare_digest(_signature(key, name, value), signature) for key in accepted):
            return value
        return None


def _signature(key: bytes, name: str, value: bytes) -> bytes:
    place = name.encode(errors="replace")
    return hmac.digest(key, struct.pack("<I", len(place)) + place + value, "sha256")


def _read(path: Path) -> tuple[bytes, ...]:
    """The keys, in order. An error names the file and never its content."""
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"redis-signing-key-file {path} cannot be read: {reason_of(error)}") from None
    keys = tuple(line.strip() for line in content.splitlines() if line.strip())
    if len(content) > LONGEST_FILE_BYTES or not 1 <= len(keys) <= MOST_KEYS:
        raise SettingsError(f"redis-signing-key-file {path} must hold 1 to {MOST_KEYS} keys, one per line")
    if any(len(key) < SHORTEST_KEY for key in keys):
        raise SettingsError(f"redis-signing-key-file {path} has a key of fewer than {SHORTEST_KEY} characters")
    return keys

"""The read token of the HTTP port, without what serves HTTP: it is checked before any port opens."""

from pathlib import Path

from scaler.errors import SettingsError, SourceUnavailable
from scaler.files import FollowedFiles
from scaler.history.credentials import read_secret

SHORTEST_TOKEN = 16
"""characters"""


def token_file(path: Path) -> FollowedFiles[str]:
    """The token in the file, read again when it changes. Raises SettingsError where it cannot be used now."""

    def read() -> str:
        try:
            text = read_secret(path, "token")
        except SourceUnavailable as error:
            raise SettingsError(f"http-token-file: {error}") from None
        if len(text) < SHORTEST_TOKEN:
            raise SettingsError(f"http-token-file {path} holds fewer than {SHORTEST_TOKEN} characters")
        return text

    followed = FollowedFiles([path], read)
    followed.current()
    return followed

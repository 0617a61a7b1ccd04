"""Whether a file can be written, checked before the work starts."""

import os
from pathlib import Path

from scaler.files import link_target, nearest_folder

LONGEST_NAME = 220
"""with it the draft of `scaler.files.appearing` has a name, too"""


def why_not(path: Path) -> str:
    """Why a file cannot be written at `path`; empty if it can, as far as can be known in advance."""
    try:
        if path.is_dir():
            return "is a folder"
    except OSError as error:  # part of it is too long, or a link leads to itself
        return (error.strerror or type(error).__name__).lower()
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        return f"its name is longer than {LONGEST_NAME} bytes"
    if path.exists() and not path.is_file():
        return "is not a regular file and would be replaced by one"
    path = link_target(path)
    folder = nearest_folder(path.parent)
    if not folder.is_dir():
        return f"{folder} is not a folder"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} cannot be written to"

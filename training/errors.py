"""What the offline commands refuse, in one line, with no traceback. A part of the tree in scaler/errors.py."""

from scaler.errors import CommandError, HeadwayError


class DataError(CommandError):
    """A file that cannot be read as recorded demand; names the file and the rule."""


class ModelError(CommandError, ValueError):
    """Data, a task or an option that a model, a split or a comparison cannot use; the text is for the user."""


class OrderRefused(CommandError):
    """What was asked for cannot be; names the field and the rule."""


class RunFailed(CommandError):
    """The data can be used and the order carried out, but no bundle came of it; says at which step, and why."""


def reason_of(error: Exception) -> str:
    """Why something failed, for the user: our own words, or which library failed. A library's text is not shown."""
    if isinstance(error, HeadwayError):
        return " ".join(str(error).split())
    frame, package = error.__traceback__, ""
    while frame is not None:
        package = str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0] or package
        frame = frame.tb_next
    return f"unexpected {type(error).__name__} in {package or 'Python'}"

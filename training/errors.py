"""What the training commands refuse, in one line, with no traceback. A part of the tree in scaler/errors.py."""

from scaler.errors import CommandError, HeadwayError


class DataError(CommandError):
    """A file that cannot be read as recorded demand; names the file and the rule."""


class ModelError(CommandError, ValueError):
    """Data, a task or an option that a model, a split or a comparison cannot use; the text is for the user."""


class OrderRefused(CommandError):
    """Options that cannot be used; names the field and the rule."""


class RunFailed(CommandError):
    """A run on usable data that yields no bundle; names the step and the reason."""


def reason_of(error: Exception) -> str:
    """The reason of a failure for the user: our own text, or which library failed, without the library's text."""
    if isinstance(error, HeadwayError):
        return " ".join(str(error).split())
    frame, package = error.__traceback__, ""
    while frame is not None:
        package = str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0] or package
        frame = frame.tb_next
    return f"unexpected {type(error).__name__} in {package or 'Python'}"

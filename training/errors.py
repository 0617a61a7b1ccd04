"""What the offline commands refuse; told in one line, with no traceback."""

from scaler.errors import HeadwayError


class DataError(Exception):
    """A file that cannot be read as recorded demand; names the file and the rule."""


class OrderRefused(HeadwayError):
    """What was asked for cannot be; names the field and the rule."""


class RunFailed(HeadwayError):
    """The data can be used and the order carried out, but no bundle came of it; says at which step, and why."""

"""What `headway` can do, one file per command. Heavy imports stay in the command that needs them."""

from enum import IntEnum

from scaler.errors import CommandError


class Exit(IntEnum):
    """What the exit status of every command means."""

    FINE = 0
    FAULTS = 1
    """the command did its work and found faults, or nothing is ready yet"""
    USAGE = 2
    """wrong flags, settings or file"""
    UNREACHABLE = 3
    """the scaler or Prometheus could not be reached"""


class Usage(CommandError):
    """The command was called wrongly; the text says how. `headway` prints it and exits with USAGE."""

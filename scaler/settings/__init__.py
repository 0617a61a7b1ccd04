"""What an operator sets: `load_settings(flags)` gives the one frozen `Settings`, or every fault at once.

    flag (`--refresh-interval 15s`)  over  environment (`HEADWAY_REFRESH_INTERVAL`)  over
    file (`--config FILE`, `refresh-interval: 15s`)  over  the default

fields.py declares each setting once; values.py has their types, rules.py what may be wrong, file.py the YAML file,
options.py the command line options made from the fields, in_force.py what may be shown of the values. Durations are
written as in Go (`15s`, `2m`) and are seconds (float) in the code.
"""

from scaler.settings.fields import ListedTrigger, Server, Settings, load_settings
from scaler.settings.in_force import in_force
from scaler.settings.options import with_settings_options
from scaler.settings.rules import SettingsInvalid

__all__ = [
    "ListedTrigger",
    "Server",
    "Settings",
    "SettingsInvalid",
    "in_force",
    "load_settings",
    "with_settings_options",
]

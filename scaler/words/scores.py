"""What is said of scores where there are none. Pure."""

NOTHING_SCORED = (
    "nothing is scored yet: a forecast is scored when its time has come, an hour is stored when it is over, and "
    "triggers in mode reactive have no forecast"
)

"""What `headway check` and `headway why` recommend alike."""


def query_step(minutes: int) -> str:
    """For demand that has a new number only every so many minutes, where the trigger does not name the step."""
    key = f"queryStep: {minutes}m"
    return f"demand has a new number only every {minutes} min: write {key}, or the annotation headway.dev/query-step"

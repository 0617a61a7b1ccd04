"""How large the metadata of one trigger may be. It is tenant input, and checked before anything reads it."""

from collections.abc import Mapping

from scaler.errors import Fault

MOST_KEYS = 64
"""keys of one trigger: all of ours, under both spellings, and KEDA's own"""
LONGEST_KEY = 128
"""characters of one key"""
LONGEST_VALUE = 16_384
"""characters of one value; `max-query-length` stays below it"""
MOST_CHARACTERS = 24_576
"""characters of all keys and values"""
MOST_REQUEST_BYTES = 32_768
"""of a request on the wire: what is longer is not decoded"""


def size_faults(metadata: Mapping[str, str]) -> tuple[Fault, ...]:
    """The first limit that the metadata exceeds, in at most MOST_KEYS looks; empty where it exceeds none."""
    if len(metadata) > MOST_KEYS:
        return (Fault("metadata", f"{len(metadata)} keys", f"must have at most {MOST_KEYS} keys: remove the others"),)
    characters = 0
    for key, text in metadata.items():
        characters += len(key) + len(text)
        if len(key) > LONGEST_KEY:
            rule = f"must have no key of more than {LONGEST_KEY} characters: remove it"
            return (Fault("metadata", f"a key of {len(key)} characters", rule),)
        if len(text) > LONGEST_VALUE:
            rule = f"must have no value of more than {LONGEST_VALUE} characters: shorten it"
            return (Fault("metadata", f"a value of {len(text)} characters", rule),)
    if characters > MOST_CHARACTERS:
        rule = f"must have at most {MOST_CHARACTERS} characters in all: shorten the values"
        return (Fault("metadata", f"{characters} characters", rule),)
    return ()

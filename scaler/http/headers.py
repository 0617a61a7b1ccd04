"""What may be sent in an HTTP header: one line of text. Pure."""

import re
import unicodedata

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def is_header_name(text: str) -> bool:
    """Whether `text` is the name of a header."""
    return _NAME.fullmatch(text) is not None


def header_fault(text: str, *, any_letter: bool = False) -> str:
    """Why a text cannot be sent, without any of it; empty where it can. `any_letter`: not only ASCII."""
    if len(text.splitlines()) > 1:
        return "a line break in it"
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        return "a control character in it"
    if text != text.strip():
        return "a blank at its beginning or end"
    return "" if any_letter or text.isascii() else "a character in it that is not ASCII"

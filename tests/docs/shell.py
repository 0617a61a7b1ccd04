"""The simple commands of a console block, as a shell would split them."""

import re
import shlex
from collections.abc import Iterator

_OPERATORS = {"&&", "||", "|", "&", ";"}
_INPUT_OUTPUT = {"<", ">", ">>"}


def simple_commands(text: str) -> Iterator[list[str]]:
    """Program and arguments of each command: without prompts, comments, variables that are set, and redirections."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        command: list[str] = []
        words = iter(_words(line))
        for word in words:
            if word in _OPERATORS:
                yield from _without_variables(command)
                command = []
            elif word in _INPUT_OUTPUT:
                next(words)
            else:
                command.append(word)
        yield from _without_variables(command)


def _words(line: str) -> list[str]:
    without_prompt = re.sub(r"^\$ ", "", line)
    lexer = shlex.shlex(re.sub(r"\$\([^)]*\)", "substituted", without_prompt), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    return list(lexer)


def _without_variables(command: list[str]) -> Iterator[list[str]]:
    while command and re.match(r"[A-Z_]+=", command[0]):
        command = command[1:]
    if command:
        yield command

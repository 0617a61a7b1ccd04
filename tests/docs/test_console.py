"""Every command of every page: programs, subcommands and flags that exist, files that are there."""

import itertools
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from scaler.cli import app
from tests.docs.pages import INLINE, ROOT, Block, of_language
from tests.docs.shell import simple_commands
from tests.docs.tools import PLAIN, TOOLS
from tests.e2e.scaler_process import scaler_running
from tests.helm.rendering import EVERYTHING
from tests.servers.helm import MAJORS, run_helm
from tests.servers.process import wait_until

PROGRAMS = {"headway", "make", "helm", *TOOLS, *PLAIN}
FENCED = [(block, command) for block in of_language("console") for command in simple_commands(block.text)]
EXCLUDED = {"headway replay --demand-is-right": "a name that CHANGELOG.md says is gone"}
"""commands that are no longer right, or not yet, and why a page has them"""
IN_SENTENCES = [
    (block, command)
    for block in INLINE
    if re.match(rf"(\.venv/bin/)?({'|'.join(PROGRAMS)}) \S", block.text)
    if block.text not in EXCLUDED
    for command in simple_commands(block.text)
]
COMMANDS = FENCED + IN_SENTENCES
VERBS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
OF_THE_READER = {"replay", "comparison", "dist", "build", "bundles"}
"""folders that a command makes"""


def program(command: list[str]) -> str:
    return command[0].removeprefix(".venv/bin/")


def of_program(name: str) -> list[tuple[Block, list[str]]]:
    return [(block, command) for block, command in COMMANDS if program(command) == name]


def inside(command: list[str]) -> int:
    """Where the command begins that kubectl or docker runs in a container; the end where there is none."""
    if not {"exec", "run"} & set(command[1:]):
        return len(command)
    return next(index for index, word in enumerate(command) if word in ("--", "headway"))


def name_of(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def test_every_program_is_known() -> None:
    """A command that no test below looks at is a fault."""
    unknown = [f"{block}: {name_of(command)}" for block, command in FENCED if program(command) not in PROGRAMS]
    assert [text for text in unknown if not (ROOT / text.split(": ", 1)[1].split()[0]).is_file()] == []


WHOLE = [(block, command) for block, command in of_program("headway") if (block, command) in FENCED]


@pytest.mark.parametrize(("block", "command"), WHOLE, ids=name_of)
def test_headway_takes_the_arguments(block: Block, command: list[str]) -> None:
    """Subcommand, options and the kind of their values, as the command line reads them; nothing is run."""
    found, arguments = subcommand(block, command)
    found.make_context("headway", list(arguments))


@pytest.mark.parametrize(("block", "command"), of_program("headway"), ids=name_of)
def test_headway_has_the_options(block: Block, command: list[str]) -> None:
    """In sentences too, where arguments may be left out."""
    found, arguments = subcommand(block, command)
    known = {option for parameter in found.params for option in parameter.opts} | {"--help", "-h", "--version"}
    assert flags(arguments) <= known, str(block)


def subcommand(block: Block, command: list[str]) -> tuple[Any, list[str]]:
    """The command of ours that is meant, and its arguments."""
    found: Any = get_command(app)
    arguments = command[1:]
    while hasattr(found, "commands") and arguments and not arguments[0].startswith("-"):
        assert arguments[0] in found.commands, f"{block}: headway {arguments[0]}"
        found, arguments = found.commands[arguments[0]], arguments[1:]
    return found, arguments


@pytest.mark.parametrize(("block", "command"), of_program("make"), ids=name_of)
def test_make_has_the_verb(block: Block, command: list[str]) -> None:
    assert {word for word in command[1:] if "=" not in word} <= VERBS, str(block)


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(("block", "command"), of_program("helm"), ids=name_of)
def test_helm_takes_the_flags(block: Block, command: list[str], major: int) -> None:
    """Subcommand and flags are those of Helm's own help."""
    words = command[1:]
    subcommand = [words[0], *([words[1]] if words[0] == "get" else [])]
    help_text = run_helm(major, *subcommand, "--help").stdout
    known = set(re.findall(r"(--?[a-z][a-z-]*)", help_text))
    assert flags(words) <= known, str(block)


@pytest.mark.parametrize(("block", "command"), of_program("helm"), ids=name_of)
def test_helm_takes_the_values(block: Block, command: list[str]) -> None:
    """What follows --set renders with the chart of the repository, as far as the command installs that."""
    if "helm/headway" not in command or command[1] == "package":
        return
    if (block, command) not in FENCED:
        return
    values = [word for flag, word in itertools.pairwise(command) if flag == "--set"]
    given = [part for value in values for part in ("--set", value)]
    apis = [f"--api-versions={api}" for api in EVERYTHING]
    result = run_helm(MAJORS[-1], "template", "headway", ROOT / "helm/headway", "--kube-version", "1.33", *apis, *given)
    assert result.returncode == 0, f"{block}: {result.stderr}"


@pytest.mark.parametrize(("block", "command"), [found for name in TOOLS for found in of_program(name)], ids=name_of)
def test_other_programs_have_the_flags(block: Block, command: list[str]) -> None:
    """The subcommand is the first word that is no flag, and no value of one."""
    ours = command[1 : inside(command)]
    known = TOOLS[program(command)]
    subcommand = next((word for word in ours if word in known), None)
    assert subcommand, f"{block}: {name_of(command)}"
    assert flags(ours) <= known[subcommand], f"{block}: {name_of(command)}"


@pytest.mark.parametrize(("block", "command"), [found for name in PLAIN for found in of_program(name)], ids=name_of)
def test_plain_programs_have_the_flags(block: Block, command: list[str]) -> None:
    assert flags(command[1:]) <= PLAIN[program(command)], str(block)


INSIDE = [
    (block, command)
    for block, command in of_program("kubectl") + of_program("docker")
    if inside(command) < len(command)
]


@pytest.mark.parametrize(("block", "command"), INSIDE, ids=name_of)
def test_commands_in_containers_are_right(block: Block, command: list[str]) -> None:
    """What `kubectl exec` and `docker run` run is a command of ours, or Python."""
    inner = command[inside(command) :]
    inner = inner[inner[0] == "--" :]
    if inner[0] == "headway":
        test_headway_takes_the_arguments(block, inner)
    else:
        assert inner[:2] == ["python", "-c"]
        compile(inner[2], str(block), "exec")


@pytest.mark.parametrize(("block", "command"), COMMANDS, ids=name_of)
def test_files_are_there(block: Block, command: list[str]) -> None:
    """An argument below a folder of the repository names something that exists."""
    if program(command) == "kubectl":
        command = [word for word in command if not word.startswith(("deploy/headway", "service/"))]  # kinds, no folders
    paths = [word.partition("=")[2] or word for word in command if "/" in word and "://" not in word]
    ours = [path for path in paths if path.split("/")[0] in FOLDERS - OF_THE_READER]
    assert [path for path in ours if not (ROOT / path).exists()] == [], str(block)


def addresses(changing: bool) -> set[str]:
    """The paths that pages ask with curl: by GET, or by POST, which changes something."""
    commands = [command for _, command in of_program("curl") if ("POST" in command) is changing]
    return {path for command in commands for path in re.findall(r"localhost:8080(/[\w/.-]*)", name_of(command))}


READ, CHANGED = addresses(changing=False), addresses(changing=True)


@pytest.mark.e2e
def test_addresses_answer(tmp_path: Path) -> None:
    """What a page asks with curl is answered by a scaler."""
    assert {"/readyz", "/metrics", "/api/v1/plans"} <= READ
    assert "/api/v1/models/promote" in CHANGED
    with scaler_running(tmp_path, "--prometheus", "http://127.0.0.1:1") as scaler:
        url = f"http://{scaler.http_address}"
        wait_until(lambda: httpx.get(f"{url}/readyz").is_success, scaler.process, scaler.log)
        assert {path: httpx.get(url + path).status_code for path in READ} == dict.fromkeys(READ, 200)
        refused = {path: httpx.post(url + path, json={}).status_code for path in CHANGED}
        assert refused == dict.fromkeys(CHANGED, 403)  # http-writes is off


CHECKED = sorted({word for _, command in of_program("headway") for word in command[2:3] if command[1] == "check"})


@pytest.mark.parametrize("file", [file for file in CHECKED if Path(ROOT / file).is_file()])
def test_files_that_are_checked_are_right(file: str) -> None:
    """`headway check` of a file of the repository, run without the servers that the page has."""
    result = CliRunner().invoke(app, ["check", str(ROOT / file), "--offline"])
    assert result.exit_code == 0, result.output


def flags(words: list[str]) -> set[str]:
    return {re.split(r"[= ]", word)[0] for word in words if re.match(r"--?[a-zA-Z]", word)}


def test_words_are_split_as_a_shell_does() -> None:
    """Prompt, comment, variable, continuation, pipe, background, redirection and substitution."""
    text = '$ A=1 x --b "c d" \\\n  e  # not this\ny <in >out & z | w --p="$(rand 1)" && v\n'
    assert list(simple_commands(text)) == [
        ["x", "--b", "c d", "e"], ["y"], ["z"], ["w", "--p=substituted"], ["v"],
    ]  # fmt: skip


def test_typer_reads_arguments_here() -> None:
    """The test above would pass with any argument if make_context ignored unknown ones."""
    with pytest.raises((typer.Exit, Exception), match="No such option"):
        test_headway_takes_the_arguments(Block("p", 1, "console", ""), ["headway", "why", "--nonsense", "a", "b"])

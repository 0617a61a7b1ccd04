import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from scaler import __version__
from scaler.cli import app
from scaler.commands import plugins
from scaler.settings.options import flag, flag_fields

EXAMPLES = Path(__file__).parent.parent.parent / "deploy" / "examples"

GOOD = """\
kind: ScaledObject
metadata: {name: web, namespace: shop}
spec:
  minReplicaCount: 2
  fallback: {failureThreshold: 3, replicas: 6, behavior: currentReplicasIfHigher}
  triggers:
    - type: external
      metadata:
        scalerAddress: dns:///headway.keda:50051
        query: up
        threshold: "50"
    - type: cpu
      metadata: {value: "80"}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def run(*arguments: object, stdin: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    return result.exit_code, result.stdout, result.stderr


def test_version() -> None:
    """--version prints the version and nothing else."""
    assert run("--version") == (0, f"headway {__version__}\n", "")


@pytest.mark.parametrize("command", ["serve", "demo", "why", "check"])
def test_every_command_explains_itself_and_its_exit_status(command: str) -> None:
    """Each help text ends with what the exit status means."""
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Exit status: 0 fine" in " ".join(out.split())


def test_help_of_serve_names_every_flag_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal of 80 columns no flag is cut off, and no line is longer."""
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run("serve", "--help")
    assert [flag(name) for name in flag_fields() if f" {flag(name)} " not in out] == []
    assert max(map(len, out.splitlines())) <= 80


def test_wrong_settings_are_told_and_exit_2() -> None:
    """Every fault of the settings is on stderr, without a traceback."""
    code, _, err = run("serve", "--refresh-interval", "7s", "--grpc-address", "nowhere")
    assert code == 2
    assert "refresh-interval" in err
    assert "grpc-address" in err


def test_unknown_option_exits_2() -> None:
    """Wrong usage is told apart from faults found."""
    assert run("check", "--nonsense")[0] == 2


def test_check_of_a_good_file_is_fine(good: Path) -> None:
    """No finding, exit 0."""
    code, out, _ = run("check", "--offline", good)
    assert (code, "the file itself is fine" in out) == (0, True)


def test_check_says_when_a_query_was_not_tried(good: Path) -> None:
    """Without serverAddress and --prometheus nobody is asked, which is no fault; the fix is named."""
    code, out, _ = run("check", good)
    words = " ".join(out.split())
    assert "query of trigger 0: not tried" in words
    assert "give --prometheus URL" in words
    assert (code, "0 errors, 0 warnings" in words) == (0, True)
    (asked,) = json.loads(run("check", good, "--json")[1])["objects"][0]["queries"]
    assert (asked["tried"], asked["demand"]) == (False, None)


def test_check_names_the_server_of_another_trigger(good: Path) -> None:
    """Where one trigger has no serverAddress and another has one, that one is proposed, without its credentials."""
    other = (
        "type: prometheus\n      metadata: {serverAddress: 'http://u:geheim@127.0.0.1:9', query: up, threshold: '1'}"
    )
    good.write_text(GOOD.replace('type: cpu\n      metadata: {value: "80"}', other))
    words = " ".join(run("check", good)[1].split())
    assert "give --prometheus http://***@127.0.0.1:9, as trigger 1 has" in words
    assert "geheim" not in words


def test_check_says_why_a_query_of_another_trigger_is_not_tried(good: Path) -> None:
    """Credentials that KEDA takes from the cluster are not at hand here."""
    other = (
        "type: prometheus\n      authenticationRef: {name: p}\n      metadata: {serverAddress: 'http://127.0.0.1:9', "
    )
    good.write_text(GOOD.replace("type: cpu\n      metadata: {value", f"{other}query: up, threshold"))
    code, out, _ = run("check", good)
    assert (code, "query of trigger 1: not tried: KEDA takes credentials" in " ".join(out.split())) == (0, True)


def test_check_says_that_a_reader_of_the_plan_is_never_called() -> None:
    """KEDA asks Prometheus then, the trigger must be listed, and `why` tells whether it is."""
    code, out, _ = run("check", "--offline", EXAMPLES / "prometheus.yaml")
    words = " ".join(out.split())
    assert (code, "must discover it (headway.dev/forecast), or its settings list it" in words) == (0, True)
    assert "neither does --scaler" in words
    assert "`headway why shop checkout`" in words


def test_the_readme_says_how_much_history_the_first_forecast_needs() -> None:
    """It is what the shipped bundle's manifest asks for."""
    bundle = Path(__file__).parent.parent.parent / "scaler" / "bundle" / "shipped" / "seasonal" / "manifest.json"
    manifest = json.loads(bundle.read_text())
    assert manifest["minimum_history_steps"] * manifest["step_seconds"] == 3600
    assert "first forecast needs one hour of history" in " ".join(
        (EXAMPLES.parent.parent / "README.md").read_text().split()
    )


def test_check_reads_standard_input() -> None:
    """A dash stands for stdin, as in helm template … | headway check -."""
    assert run("check", "--offline", "-", stdin=GOOD)[0] == 0


def test_check_of_a_faulty_file_exits_1_with_line_and_mend(good: Path) -> None:
    """A fault is shown with line, field, value and rule."""
    good.write_text(GOOD.replace('threshold: "50"', 'threshold: "-50"'))
    code, out, _ = run("check", "--offline", good)
    assert code == 1
    assert "line 11, spec.triggers[0].metadata.threshold" in out
    assert "threshold='-50'" in out
    assert "1 error, 0 warnings" in out


def test_check_moves_no_cursor() -> None:
    """A key may hold what a terminal obeys; it is shown, and not sent."""
    code, out, _ = run(
        "check", "--offline", "-", stdin=GOOD.replace("  minReplicaCount", '  "\\e[2J[bold]": 1\n  minReplicaCount')
    )
    assert code == 0
    assert "line 4, spec.\N{REPLACEMENT CHARACTER}[2J[bold] (unknown-key)" in out
    assert "\x1b" not in out


def test_check_json_is_the_documented_form(good: Path) -> None:
    """Machines read level, rule, line and field."""
    good.write_text(GOOD.replace("minReplicaCount: 2", "minReplicaCount: 2\n  idleReplicaCount: 0"))
    code, out, _ = run("check", "--offline", "--json", good)
    report = json.loads(out)
    (found,) = report["objects"][0]["findings"]
    assert (code, report["errors"], report["warnings"]) == (0, 0, 1)
    assert (found["level"], found["rule"], found["line"]) == ("warning", "idle-replicas", 5)


def test_check_of_broken_yaml_exits_1_with_the_line(good: Path) -> None:
    """What is not YAML is a fault of the file."""
    good.write_text("kind: ScaledObject\nspec: [1\n")
    code, _, err = run("check", good)
    assert (code, f"headway: {good}: line 3, column 1: not valid YAML" in err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.yaml"], "No such file"),
        (["-"], "no ScaledObject in it (found: Service)"),
        (["-", "--keda-version", "new"], "--keda-version='new'"),
    ],
)
def test_check_called_wrongly_exits_2(arguments: list[str], message: str) -> None:
    """Nothing could be checked: that is wrong usage, not a finding."""
    text = GOOD if "--keda-version" in arguments else "kind: Service\n"
    code, _, err = run("check", *arguments, stdin=text)
    assert (code, message in err) == (2, True)


def test_check_refuses_servers_that_are_not_allowed(good: Path) -> None:
    """With --allow-server-address the operator's list is applied as the scaler would."""
    good.write_text(GOOD.replace("query: up", "query: up\n        serverAddress: http://elsewhere:9090"))
    assert run("check", "--offline", good)[0] == 0
    assert run("check", "--offline", "--allow-server-address", "http://prometheus:9090", good)[0] == 1


@pytest.mark.parametrize(("pattern", "rule"), [("http://p.*:9090", "{namespace}"), ("nothing", "SCHEME://HOST")])
def test_check_refuses_patterns_that_the_scaler_refuses(good: Path, pattern: str, rule: str) -> None:
    """With the rule that the scaler's start shows."""
    code, _, err = run("check", "--offline", "--allow-server-address", pattern, good)
    assert (code, rule in err) == (2, True)


def test_check_against_a_closed_port_exits_3(good: Path) -> None:
    """Nobody at --prometheus or --scaler is neither a fault of the file nor fine."""
    code, out, _ = run("check", good, "--prometheus", "http://127.0.0.1:9", "--scaler", "127.0.0.1:9")
    assert code == 3
    assert "not reachable" in out
    assert "Connection refused" in " ".join(out.split())


def test_offline_commands_come_from_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with an entry point in the group adds its commands; the training package is one."""
    assert "train" in run("--help")[1]
    trained = typer.Typer()
    entry = SimpleNamespace(load=lambda: lambda target: target.command("train")(lambda: typer.echo("trained")))
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry] if group == plugins.GROUP else [])
    plugins.add_plugin_commands(trained)
    assert CliRunner().invoke(trained, []).stdout == "trained\n"


def test_offline_commands_of_a_package_left_out_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image without the training package still has all other commands."""

    def gone() -> None:
        raise ModuleNotFoundError("no module named training")

    monkeypatch.setattr(plugins, "entry_points", lambda group: [SimpleNamespace(load=gone)])
    bare = typer.Typer()
    bare.command("serve")(lambda: typer.echo("serving"))
    plugins.add_plugin_commands(bare)
    assert CliRunner().invoke(bare, []).stdout == "serving\n"


def typed(*arguments: str | bytes, encoding: str = "utf-8") -> "subprocess.CompletedProcess[bytes]":
    """The executable, in a process of its own."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = (sys.executable, "-m", "scaler.cli", *arguments)
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)


def test_a_terminal_without_the_letter_shows_a_question_mark() -> None:
    """Not a traceback after all the work."""
    found = typed("--help", encoding="ascii")
    assert (found.returncode, b"0 fine ? 1 faults found" in found.stdout) == (0, True), found.stderr


def test_arguments_are_utf8() -> None:
    found = typed("why", b"\xff", "web")
    assert found.returncode == 2
    assert found.stderr == b"headway: '\\udcff': must be UTF-8\n"


def test_check_cannot_call_a_scaler_offline(good: Path) -> None:
    """A job that asks for both must not believe that the scaler was called."""
    code, _, err = run("check", "--offline", "--scaler", "127.0.0.1:1", good)
    assert code == 2
    assert "--scaler='127.0.0.1:1'" in err


def test_check_counts_what_could_not_be_reached(good: Path) -> None:
    """The summary does not look clean where a query or a call reached nobody."""
    code, out, _ = run("check", "--prometheus", "http://127.0.0.1:1", good)
    assert code == 3
    assert "not reachable\n" in out.splitlines(keepends=True)[-2] or ", 1 not reachable" in out

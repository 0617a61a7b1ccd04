"""The command line options that are made from the fields."""

import typer
from typer.testing import CliRunner

from scaler.settings import Settings, SettingsInvalid, with_settings_options
from scaler.settings.options import flag, flag_fields

PROMISED = {
    "--prometheus", "--grpc-address", "--http-address", "--redis", "--database", "--data-dir", "--bundle",
    "--allow-server-address", "--refresh-interval", "--log-format", "--config",
}  # fmt: skip


def call(*arguments: str):
    app = typer.Typer(rich_markup_mode=None)
    seen: list[object] = []

    @app.command()
    @with_settings_options
    def serve(settings: Settings, *, fast: bool = False) -> None:
        """Run."""
        seen.extend([settings, fast])

    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    return result, seen


def test_promised_flags_exist():
    """The flags that scripts and charts build on are there under their names."""
    assert {flag(name) for name in flag_fields()} >= PROMISED


def test_flags_become_settings():
    """Flags reach the command as one Settings; a repeatable flag gathers; other options of the command stay."""
    result, seen = call(
        "--fast", "--refresh-interval", "30s",
        "--allow-server-address", "http://a", "--allow-server-address", "http://b",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    settings, fast = seen
    assert isinstance(settings, Settings)
    assert (settings.refresh_interval, settings.allow_server_address, fast) == (30.0, ("http://a", "http://b"), True)


def test_wrong_flags_raise_before_the_command_runs():
    """The command never sees settings that do not hold."""
    result, seen = call("--refresh-interval", "7s")
    assert isinstance(result.exception, SettingsInvalid)
    assert seen == []


def test_help_has_meaning_and_default_of_every_field():
    """`--help` is the reference at hand."""
    result, _ = call("--help")
    words = " ".join(result.output.split())
    assert "Default: 15s." in words
    for name in flag_fields():
        assert flag(name) in words

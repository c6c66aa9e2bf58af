import click
import pytest
from click.testing import CliRunner

from gateway.cli.listing import DefaultListGroup


@click.group(cls=DefaultListGroup, context_settings={"help_option_names": ["-h", "--help"]})
def things() -> None:
    """Things."""


@things.command("list")
@click.option("--long", is_flag=True)
def list_(long: bool) -> None:
    click.echo(f"listed {long}")


@things.command()
def other() -> None:
    click.echo("other")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "listed False\n"),
        (["--long"], "listed True\n"),
        (["list", "--long"], "listed True\n"),
        (["other"], "other\n"),
    ],
)
def test_a_group_that_lists_when_it_is_told_nothing_else(words: list[str], said: str) -> None:
    assert CliRunner().invoke(things, words).output == said


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_the_groups(word: str) -> None:
    assert "Commands:" in CliRunner().invoke(things, [word]).output


def test_a_mistake_is_one() -> None:
    assert "No such command 'lits'" in CliRunner().invoke(things, ["lits"]).output

"""`doctor`: what is wrong, and the command that mends it."""

import os

import click
import msgspec

from gateway.doctor.checks import CHECKS, examine
from gateway.doctor.evidence import gather
from gateway.exits import ExitCode

_COLOURS = {"problem": "red", "warning": "yellow", "note": None}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON array of findings: severity, title, detail, remedy.")
def doctor(as_json: bool) -> None:
    """Find what is wrong and name the remedy.

    Looks only: nothing is started, stopped or changed. Exit code 4 when something needs mending.
    """
    findings = examine(gather(os.environ))
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        for finding in findings:
            click.echo(f"{click.style(finding.severity, fg=_COLOURS[finding.severity], bold=True)}: {finding.title}")
            if finding.detail:
                click.echo(f"    {finding.detail}")
            if finding.remedy:
                click.echo(f"    → {finding.remedy}")
    mend = [finding for finding in findings if finding.severity != "note"]
    if not mend and not as_json:
        click.echo(f"nothing to mend ({len(CHECKS)} checks)")
    raise click.exceptions.Exit(ExitCode.UNHEALTHY if mend else ExitCode.OK)

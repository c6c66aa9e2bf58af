"""`doctor`: what is wrong, and the command that mends it."""

import os

import click
import msgspec

from gateway.doctor.checks import CHECKS, examine
from gateway.doctor.evidence import gather
from gateway.doctor.security import SECURITY, Risk, audit
from gateway.exits import ExitCode

_COLOURS = {"problem": "red", "warning": "yellow", "note": None}


@click.command()
@click.option("--security", is_flag=True, help="Only the list of SECURITY.md: who could get in, and how.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of findings: severity, title, detail, remedy.")
def doctor(security: bool, as_json: bool) -> None:
    """Find what is wrong and name the remedy.

    Looks only: nothing is started, stopped or changed. Exit code 4 when something needs mending.
    """
    evidence = gather(os.environ)
    findings = [*audit(evidence)] if security else examine(evidence)
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        for finding in findings:
            row = f" [{finding.id}]" if isinstance(finding, Risk) else ""
            severity = click.style(finding.severity, fg=_COLOURS[finding.severity], bold=True)
            click.echo(f"{severity}: {finding.title}{row}")
            if finding.detail:
                click.echo(f"    {finding.detail}")
            if finding.remedy:
                click.echo(f"    → {finding.remedy}")
    mend = [finding for finding in findings if finding.severity != "note"]
    if not mend and not as_json:
        click.echo(f"nothing to mend ({len(SECURITY) if security else len(CHECKS)} checks)")
    raise click.exceptions.Exit(ExitCode.UNHEALTHY if mend else ExitCode.OK)

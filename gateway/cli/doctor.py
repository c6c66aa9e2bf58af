"""`doctor`: problems, and the commands that mend them."""

import os

import click

from gateway.doctor.checks import CHECKS, examine
from gateway.doctor.evidence import gather
from gateway.doctor.security import SECURITY, Risk, audit
from gateway.exits import ExitCode
from gateway.terminal.spinner import Spinner
from gateway.terminal.writer import print_json, print_line, print_text
from gateway.text.visible import BOLD, RED, YELLOW, hanging, paint

_COLOURS = {"problem": RED, "warning": YELLOW, "note": ""}


@click.command()
@click.option("--security", is_flag=True, help="Only the list of SECURITY.md: who could get in, and how.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of findings: severity, title, detail, remedy.")
def doctor(security: bool, as_json: bool) -> None:
    """Find what is wrong and name the remedy.

    Looks only: nothing is started, stopped or changed. Exit code 4 when something needs mending.
    """
    with Spinner("looking"):
        evidence = gather(os.environ)
    findings = [*audit(evidence)] if security else examine(evidence)
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            row = f" [{finding.id}]" if isinstance(finding, Risk) else ""
            print_line(paint(finding.severity, BOLD + _COLOURS[finding.severity]), f": {finding.title}{row}")
            if finding.detail:
                print_text(hanging(f"    {finding.detail}", "    "))
            if finding.remedy:
                print_text(hanging(f"    → {finding.remedy}", "      "))
    mend = [finding for finding in findings if finding.severity != "note"]
    if not mend and not as_json:
        print_line(f"nothing to mend ({len(SECURITY) if security else len(CHECKS)} checks)")
    raise click.exceptions.Exit(ExitCode.UNHEALTHY if mend else ExitCode.OK)

"""`openclaw-gateway run`: the gateway in the foreground. The service unit executes it without options."""

import ipaddress

import click

from gateway.terminal.writer import print_line


def _checked_bind(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value in (None, "loopback", "lan"):
        return value
    if value == "auto":
        from gateway.machine.container import bind_word

        return bind_word(value)
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither loopback nor lan nor auto nor an IP address") from None


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), help="TCP port. Default: OPENCLAW_GATEWAY_PORT, gateway.port, 18789."
)
@click.option(
    "--bind",
    callback=_checked_bind,
    help="loopback, lan, auto (lan in a container) or an IP address. Default: gateway.bind, loopback.",
)
@click.option("--force", is_flag=True, help="Accepted for compatibility; nothing is ever killed by port.")
@click.option("--allow-unconfigured", is_flag=True, help="Accepted for compatibility; a missing config is fine.")
def run(port: int | None, bind: str | None, force: bool, allow_unconfigured: bool) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Under systemd the socket unit holds the port and passes it in; --port and --bind are then not used. Without
    systemd the gateway binds the port itself, and says who is in the way if it cannot.

    Signals: SIGHUP reloads the config, SIGUSR1 restarts in place, SIGTERM leaves.

    \b
    Exit codes: 10 port busy, 11 another gateway uses this state folder, 12 unusable descriptors from LISTEN_FDS,
    78 --bind would let others in without a secret.
    A config with errors never ends it: it runs on the last good one, or on defaults that answer health alone.
    """
    if force:
        print_line(
            "--force: there is nothing to force. No process is ever killed to free a port: under systemd the socket "
            "unit holds it, and otherwise you will be told who does.",
            err=True,
        )
    from gateway.process.start import main
    from gateway.process.startup import Options

    main(Options(port=port, bind=bind))

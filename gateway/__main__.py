"""`openclaw-gateway`, also as `python -m gateway`."""

import gc
import os
import sys

UMASK = 0o077
"""As the units have it: what is written has secrets in it, and its owner must be able to read it."""


def main() -> None:
    os.umask(UMASK)
    if sys.argv[1:] == ["run"]:
        # What the unit executes, at every restart: nothing to parse, so the command-line library (35 ms) stays out. And
        # what a start makes is here to stay: to look for garbage in it would take a tenth of the time.
        gc.disable()
        from gateway.process.start import main as serve

        serve()
    from gateway.cli import cli

    cli()


if __name__ == "__main__":
    main()

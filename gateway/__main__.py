"""`openclaw-gateway`, also as `python -m gateway`."""

import gc
import os
import sys

UMASK = 0o077
"""The same as UMask= of the units: files have secrets in them, and only their owner may read them."""


def main() -> None:
    os.umask(UMASK)
    if sys.argv[1:] == ["run"]:
        # The unit executes this at every restart: there is nothing to parse, so the command-line library (35 ms) is not
        # imported. The objects of a start live on: to look for garbage among them would take a tenth of its time.
        gc.disable()
        from gateway.process.start import main as serve

        serve()
    from gateway.cli import cli

    cli()


if __name__ == "__main__":
    main()

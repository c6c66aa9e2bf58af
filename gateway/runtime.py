"""The former name of `process.start`: gateways of version 0.1 import it when they rehearse a restart into this version.

Delete it in the release after the next one.
"""

from gateway.process.start import main

__all__ = ["main"]

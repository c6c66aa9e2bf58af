"""The former name of `process.start`, which gateways of version 0.1 import when they rehearse a restart into this one.

Delete it in the release after the next one.
"""

from gateway.process.start import main

__all__ = ["main"]

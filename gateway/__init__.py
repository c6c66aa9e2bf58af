"""OpenClaw's gateway, with systemd holding the port."""

__version__ = "0.1.0"

"""Every exit code of every command, in one place; docs/operations.md lists them and a test compares."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script or a supervisor can tell from how a command ended."""

    OK = 0
    """Done, or nothing to do."""
    FAILURE = 1
    """The command could not do its work; stderr says why."""
    USAGE = 2
    """The command line was wrong."""
    NOT_RUNNING = 3
    """No gateway answers (the same number as `systemctl status` and the LSB use)."""
    UNHEALTHY = 4
    """It answers, but it is not ready or runs degraded; `doctor` found something to mend."""
    PORT_BUSY = 10
    """`run` without systemd found the port taken by someone else; nothing was killed."""
    ALREADY_RUNNING = 11
    """Another gateway holds the lease on this state folder."""
    BAD_DESCRIPTORS = 12
    """What was passed in LISTEN_FDS is not what a gateway can serve on."""
    UNIT_CONFLICT = 13
    """`install` found a unit that it would fight with."""
    TIMEOUT = 14
    """The gateway did not get where it was asked to go in the time given."""
    CONFIG_INVALID = 78
    """The config has errors, or would let others in without a secret (sysexits' EX_CONFIG). `run` ends with it only
    for what its own `--bind` asks: it runs on the last good config."""

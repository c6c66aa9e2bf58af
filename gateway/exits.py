"""Every exit code of every command, in one place; docs/operations.md lists them and a test compares."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended, for scripts and supervisors."""

    OK = 0
    """Done, or nothing to do."""
    FAILURE = 1
    """The command failed; stderr says why."""
    USAGE = 2
    """The command line was wrong."""
    NOT_RUNNING = 3
    """No gateway answers (the same number as `systemctl status` and the LSB use)."""
    UNHEALTHY = 4
    """The gateway answers, but is not ready or runs degraded; or `doctor` found a fault."""
    PORT_BUSY = 10
    """`run` without systemd found that another program holds the port; nothing was killed."""
    ALREADY_RUNNING = 11
    """Another gateway holds the lease on this state folder."""
    BAD_DESCRIPTORS = 12
    """A descriptor in LISTEN_FDS is not one that a gateway can serve on."""
    UNIT_CONFLICT = 13
    """`install` found a unit that would fight with ours."""
    TIMEOUT = 14
    """The gateway did not get where it was asked to go in the time given."""
    CONFIG_INVALID = 78
    """The config has errors, or would let others in without a secret (EX_CONFIG of sysexits.h). `run` ends with it only
    because of its own `--bind`; with a config that has errors it runs on the last good one."""

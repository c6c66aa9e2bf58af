"""Exceptions whose text a user reads: each has an exit code, and says what to do.

GatewayError
├── PortBusy            another program holds the port
├── AlreadyRunning      another gateway holds the lease on the state folder
├── BadDescriptors      LISTEN_FDS describes a descriptor that cannot be served on
├── UnitConflict        a unit that would fight with ours is in the way of `install`
├── NotRunning          no gateway answers
├── TimedOut            the gateway did not get there in the time given
└── ConfigInvalid       the config has errors
"""

from gateway.exits import ExitCode


class GatewayError(Exception):
    """A failure; `str()` is a sentence for the user."""

    exit_code = ExitCode.FAILURE


class PortBusy(GatewayError):
    exit_code = ExitCode.PORT_BUSY


class AlreadyRunning(GatewayError):
    exit_code = ExitCode.ALREADY_RUNNING


class BadDescriptors(GatewayError):
    exit_code = ExitCode.BAD_DESCRIPTORS


class UnitConflict(GatewayError):
    exit_code = ExitCode.UNIT_CONFLICT


class NotRunning(GatewayError):
    exit_code = ExitCode.NOT_RUNNING


class TimedOut(GatewayError):
    exit_code = ExitCode.TIMEOUT


class ConfigInvalid(GatewayError):
    exit_code = ExitCode.CONFIG_INVALID

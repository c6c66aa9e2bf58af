"""Exceptions that reach a person: each carries its exit code and says what to do.

GatewayError
├── PortBusy            someone else holds the port
├── AlreadyRunning      someone else holds the lease on the state folder
├── BadDescriptors      LISTEN_FDS describes something that cannot be served on
├── UnitConflict        a duelling unit stands in the way of `install`
├── NotRunning          no gateway answers
├── TimedOut            it did not happen in the time given
└── ConfigInvalid       the config has errors
"""

from gateway.exits import ExitCode


class GatewayError(Exception):
    """A failure with a sentence for the user; `str()` is that sentence."""

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

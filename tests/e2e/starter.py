"""Starts processes in the namespaces of user managers, for inside.py, whose messages it takes; standard library only.

One such process serves all managers of a test run. It forks once for each manager and enters its namespaces there; that
child forks for each command. So a command costs a fork and its own exec, and no chain of nsenter, sh, setpriv and env.
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys
import termios

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x2000000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG = 1
MESSAGE = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)


def receive(asker: socket.socket) -> tuple[dict, list[int]]:
    data, rights, _, _ = asker.recvmsg(MESSAGE, socket.CMSG_SPACE(4 * 4), socket.MSG_CMSG_CLOEXEC)
    numbers = b"".join(content for _, _, content in rights)
    descriptors = [int.from_bytes(numbers[at : at + 4], sys.byteorder) for at in range(0, len(numbers), 4)]
    return json.loads(data) if data else {}, descriptors


def serve(askers: socket.socket) -> None:
    """Each message names the first process of a manager, and has the socket on which commands come."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that serve a manager
    while True:
        manager, descriptors = receive(askers)
        if not manager:
            return
        if os.fork() == 0:
            askers.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with socket.socket(fileno=descriptors[0]) as asker:
                enter(manager["init"])
                serve_manager(asker)
            os._exit(0)
        os.close(descriptors[0])


def enter(init: int) -> None:
    """Only what is forked from here on is in its process namespace."""
    kinds = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWPID | CLONE_NEWNET
    if libc.setns(os.pidfd_open(init), kinds) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def serve_manager(asker: socket.socket) -> None:
    running: dict[int, tuple[int, socket.socket]] = {}
    poll = select.poll()
    poll.register(asker, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready != asker.fileno():
                poll.unregister(ready)
                pid, told = running.pop(ready)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with told:
                    tell(told, {"status": status})
                os.close(ready)
                continue
            command, descriptors = receive(asker)
            if not command:
                return
            *standard, answers = descriptors
            told = socket.socket(fileno=answers)
            try:
                pid = os.fork()
            except OSError as error:  # the manager has ended
                tell(told, {"error": str(error)})
                told.close()
            else:
                if pid == 0:
                    connect(command["connect"], told) if "connect" in command else become(command, standard)
                process = os.pidfd_open(pid)
                running[process] = pid, told
                poll.register(process, select.POLLIN)
                if "connect" not in command:
                    tell(told, {"pid": pid}, process)
            for descriptor in standard:
                os.close(descriptor)


def tell(told: socket.socket, message: dict, *descriptors: int) -> None:
    try:
        socket.send_fds(told, [json.dumps(message).encode()], descriptors)
    except OSError:
        pass  # nobody wants to know any more


def connect(path: str, told: socket.socket) -> None:
    """Hands over a connection that was made from inside: systemd wants to know the process that asks it."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            tell(told, {"connected": path}, connection.fileno())
    finally:
        os._exit(0)


def become(command: dict, standard: list[int]) -> None:
    """Takes this process to where the command belongs, and never returns."""
    try:
        for number, descriptor in enumerate(standard):
            # Above the first three, for one of these may be the number of another.
            standard[number] = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
        # A process group reaches through the namespaces: what is sent to one inside must not come to us.
        os.setsid()
        if os.isatty(0):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        with open(f"{command['cgroup']}/cgroup.procs", "w") as procs:
            procs.write("0")
        if uid := command["uid"]:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.chdir(command["folder"])
        # The last two Python ignores; the others whoever runs the tests in the background.
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(command["words"][0], command["words"], command["env"])
    except BaseException as error:
        os.write(2, f"{command['words'][0]} cannot be started: {error}\n".encode())
    finally:
        os._exit(127)


if __name__ == "__main__":
    with socket.socket(fileno=0) as askers:
        serve(askers)

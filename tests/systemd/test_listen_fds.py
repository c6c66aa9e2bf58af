import os
import socket
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadDescriptors
from gateway.systemd.listen_fds import VARIABLES, checked_socket, is_listener, pop_variables


@given(st.dictionaries(st.sampled_from((*VARIABLES, "PATH", "LISTEN", "LISTEN_FDS_")), st.text()))
def test_nothing_else_is_taken_out_of_the_environment(environ: dict[str, str]) -> None:
    rest = dict(environ)
    popped = pop_variables(rest)
    assert popped | rest == environ and popped.keys() <= set(VARIABLES) and not rest.keys() & set(VARIABLES)


def test_a_socket_is_what_was_asked_for_or_stays_as_it_is() -> None:
    def refusal(fd: int, family: socket.AddressFamily, listening: bool) -> str:
        with pytest.raises(BadDescriptors, match=r"^it .*\. remedy$") as refused:
            checked_socket(fd, "it", (family,), "mine", listening=listening, remedy="remedy")
        os.fstat(fd)
        return str(refused.value)

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as other, tempfile.TemporaryFile() as file:
        assert is_listener(listener.fileno()) and not is_listener(other.fileno()) and not is_listener(file.fileno())
        assert "is AF_INET/SOCK_STREAM, not mine" in refusal(listener.fileno(), socket.AF_UNIX, True)
        assert "it listens." in refusal(listener.fileno(), socket.AF_INET, False)
        assert "does not listen" in refusal(other.fileno(), socket.AF_INET, True)
        assert "is not a socket: /" in refusal(file.fileno(), socket.AF_INET, True)
        found = checked_socket(os.dup(listener.fileno()), "it", (socket.AF_INET,), "mine", remedy="")
        assert found.getsockname() == listener.getsockname()
        found.close()

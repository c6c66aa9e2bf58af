"""The guard of the marks, by runs of pytest inside this one."""

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.process

STARTS = {
    "waited for": "subprocess.run(['true'], check=True)",
    "left running": "left.append(subprocess.Popen(['sleep', '60']))",
    "forked": "os.waitpid(os.fork() or os._exit(0), 0)",
    "asyncio": "asyncio.run(start())",
    "uvloop": "uvloop.run(start())",
    "on a thread": "one = threading.Thread(target=subprocess.run, args=(['true'],)); one.start(); one.join()",
}
INI = """
[pytest]
markers =
    process: it starts one
    e2e: under systemd
filterwarnings =
    ignore:.*use of fork:DeprecationWarning
"""
"""Since Python 3.12 whoever forks beside threads, as a worker has them, is warned."""
HEAD = """
import asyncio, os, subprocess, threading
import pytest, uvloop

left = []

async def start():
    assert await (await asyncio.create_subprocess_exec("true")).wait() == 0

@pytest.fixture(scope="session", autouse=True)
def over():
    yield
    for process in left:
        process.kill()
        process.wait()
"""


def outcomes(pytester: pytest.Pytester, text: str) -> tuple[dict[str, int], str]:
    """What became of the tests in this file, and what was said of them."""
    pytester.makeini(INI)
    pytester.makepyfile(HEAD + text)
    done = pytester.runpytest_inprocess("-p", "tests.guard", "-p", "no:cacheprovider")
    return done.parseoutcomes(), done.stdout.str()


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_who_starts_a_process_must_say_so(pytester: pytest.Pytester, start: str) -> None:
    found, said = outcomes(pytester, f"def test_it():\n    {start}\n")
    assert found == {"failed": 1}
    assert "::test_it starts a process in its call: mark it with pytest.mark.process" in said


@pytest.mark.parametrize("mark", ["process", "e2e"])
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_who_says_so_may(pytester: pytest.Pytester, start: str, mark: str) -> None:
    assert outcomes(pytester, f"@pytest.mark.{mark}\ndef test_it():\n    {start}\n")[0] == {"passed": 1}


def test_who_starts_none_is_left_alone_even_while_anothers_goes_on(pytester: pytest.Pytester) -> None:
    text = f"""
@pytest.mark.process
def test_it():
    {STARTS["left running"]}

def test_beside_it():
    threading.Thread(target=print).start()
"""
    assert outcomes(pytester, text)[0] == {"passed": 2}


@pytest.mark.parametrize(("mark", "found"), [("", {"errors": 1, "passed": 1}), ("@pytest.mark.process", {"passed": 2})])
def test_what_a_fixture_starts_for_several_counts_for_the_first(
    pytester: pytest.Pytester, mark: str, found: dict[str, int]
) -> None:
    text = f"""
@pytest.fixture(scope="module")
def shared():
    {STARTS["waited for"]}

{mark}
def test_first(shared): ...

def test_second(shared): ...
"""
    got, said = outcomes(pytester, text)
    assert got == found
    assert ("::test_first starts a process in its setup" in said) == (not mark)


def test_an_end_that_starts_one_is_seen(pytester: pytest.Pytester) -> None:
    text = f"""
@pytest.fixture
def ends():
    yield
    {STARTS["waited for"]}

def test_it(ends): ...
"""
    found, said = outcomes(pytester, text)
    assert found == {"passed": 1, "errors": 1} and "starts a process in its teardown" in said


def test_a_test_that_fails_says_why_it_does(pytester: pytest.Pytester) -> None:
    found, said = outcomes(pytester, f"def test_it():\n    {STARTS['waited for']}\n    assert 2 == 3\n")
    assert found == {"failed": 1} and "assert 2 == 3" in said

"""python -m tests.distros SUITE... [--make TARGET] [-- PYTEST'S OPTIONS] | SUITE --run COMMAND..."""

import argparse
import sys

from tests.distros.root import Unavailable
from tests.distros.suite import SUITES, make, run


def main(words: list[str]) -> int:
    words, options = _split(words, "--")
    words, command = _split(words, "--run")
    parser = argparse.ArgumentParser(prog="python -m tests.distros", description="The tests on another Debian.")
    parser.add_argument("suite", nargs="*", default=SUITES, help="trixie, sid, or another that the archive has")
    parser.add_argument("--make", default="test", help="the target of the Makefile (default: test)", metavar="TARGET")
    parser.epilog = "After --: options for pytest. After --run: a command instead of a target."
    asked = parser.parse_args(words)
    codes = []
    for suite in asked.suite:
        try:
            codes.append(run(suite, command or make(asked.make, options)))
        except Unavailable as reason:
            print(f"not here: {reason}", file=sys.stderr)
            codes.append(2)
    return next(filter(None, codes), 0)


def _split(words: list[str], mark: str) -> tuple[list[str], list[str]]:
    index = words.index(mark) if mark in words else len(words)
    return words[:index], words[index + 1 :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

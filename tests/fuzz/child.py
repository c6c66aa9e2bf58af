"""The fuzzer's own process, whose product is instrumented: `python -m tests.fuzz.child TARGET [of libFuzzer…]`."""

import logging
import sys

import atheris

from tests.fuzz.targets import load


def main(name: str, *arguments: str) -> None:
    with atheris.instrument_imports(include=["gateway"]):
        target = load(name)
    logging.getLogger().addHandler(logging.NullHandler())  # what targets look at is not for the terminal
    atheris.Setup([sys.argv[0], *arguments], target.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])

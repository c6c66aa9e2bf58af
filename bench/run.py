"""`make bench`: measures what the gateway promises, each beside something that a reader knows, on this machine.

A full run takes about twenty minutes and writes bench/results.md; --quick and --only print without writing.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import answers, answers_restarts, carry, doors, memory, reload, restarts, startup, throughput, wire
from bench.facts import facts, load_average
from bench.programs import Installation, find_installation
from bench.report import Section, render, summary

RESULTS = Path(__file__).with_name("results.md")
PARTS: dict[str, Callable[[Installation, bool], Section]] = {
    "startup": startup.measure,
    "memory": memory.measure,
    "reload": reload.measure,
    "throughput": throughput.measure,
    "wire": wire.measure,
    "doors": doors.measure,
    "answers": answers.measure,
    "answers-restarts": answers_restarts.measure,
    "restarts": restarts.measure,
    "carry": carry.measure,
}


def main() -> None:
    options = _options()
    installation = find_installation()
    lines = facts(installation)
    sections = []
    for name in options.only or PARTS:
        sections.append(_measure(name, installation, options.quick))
        print(render(sections[-1]), flush=True)
    print(summary(sections))
    if options.quick or options.only:
        print(f"Not written to {RESULTS.name}: that holds full runs only.")
    else:
        RESULTS.write_text(_text(lines, sections))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds: shows that the bench works, not how fast we are"
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="this part alone; may be given several times")
    return parser.parse_args()


def _measure(name: str, installation: Installation, quick: bool) -> Section:
    load, began = load_average(), time.monotonic()
    print(f"{name} ...", file=sys.stderr, flush=True)
    section = PARTS[name](installation, quick)
    if not section.skipped:
        took = time.monotonic() - began
        section.notes.append(f"load average {load} before, {load_average()} after; took {took:.0f} s")
    return section


def _text(lines: list[str], sections: list[Section]) -> str:
    head = ["# Bench", "", "Written by `make bench`. Times are medians (range) unless they say otherwise.", ""]
    head += [*(f"- {line}" for line in lines), ""]
    return "\n".join([*head, summary(sections), *map(render, sections)])


if __name__ == "__main__":
    main()

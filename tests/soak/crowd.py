"""The crowd of the soak, a program: it obeys lines on standard input, and answers in JSON lines.

go      everybody begins; answered with nothing
rest    all end what they have begun, and hang up; answered with what was asked, found wrong, and counted
"""

import argparse
import asyncio
import dataclasses
import json
import random
import sys
from typing import Protocol

from tests.soak.guests import Onlooker, Reader
from tests.soak.questions import ECHO, FORGETFUL, Questions
from tests.soak.talker import CrowdNotes, Talker

TALKERS, ONLOOKERS, READERS = 10, 6, 3
KINDS = ("", "", FORGETFUL, "", ECHO)
"""The kinds of their sessions, in turns."""


class Person(Protocol):
    async def shift(self) -> None:
        """Until the crowd rests, and what was begun has ended."""


def people(crowd: CrowdNotes, seed: int) -> list[Person]:
    everybody: list[Person] = []
    for number in range(TALKERS):
        chance = random.Random(f"{seed} talker {number}")
        everybody.append(Talker(crowd, Questions(f"t{number}", KINDS[number % len(KINDS)], chance), chance))
    for number in range(READERS):
        chance = random.Random(f"{seed} reader {number}")
        everybody.append(Reader(crowd, Questions(f"r{number}", "", chance), chance))
    everybody += [Onlooker(crowd, random.Random(f"{seed} onlooker {number}")) for number in range(ONLOOKERS)]
    return everybody


def report(crowd: CrowdNotes) -> str:
    asked = [{**dataclasses.asdict(question), "ends": sorted(question.ends)} for question in crowd.asked.values()]
    told = {"asked": asked, "problems": crowd.problems, "counts": crowd.counts, "silence": crowd.silence}
    return json.dumps(told)


async def main(options: argparse.Namespace) -> None:
    crowd = CrowdNotes(options.url, options.token)
    everybody = people(crowd, options.seed)
    loop = asyncio.get_running_loop()
    while (await loop.run_in_executor(None, sys.stdin.readline)) == "go\n":
        crowd.rest.clear()
        async with asyncio.TaskGroup() as group:
            for person in everybody:
                group.create_task(person.shift())
            await loop.run_in_executor(None, sys.stdin.readline)
            crowd.rest.set()
        print(report(crowd), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:18789")
    parser.add_argument("--token", required=True)
    parser.add_argument("--seed", type=int, required=True)
    asyncio.run(main(parser.parse_args()))

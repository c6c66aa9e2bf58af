"""`make soak`: a crowd talks to a gateway that is restarted, killed and edited all the time, and nothing may be lost.

Every minute the crowd rests, and then all that was asked must have ended as it was told, with each word once. In the
last quarter nothing is disturbed: what grows then in gateway and agent is a leak. Exits with 1 if anything is wrong.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from conformance import providing
from tests.e2e.installation import install, interpreter
from tests.e2e.machine import obstacle
from tests.e2e.manager import UserManager
from tests.soak.machine import Machine, crowd
from tests.soak.soak import Soak, summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1, help="the same chances again, as far as time lets them")
    options = parser.parse_args()
    python = None if (reason := obstacle()) else interpreter()
    if python is None:
        print(f"no systemd user manager here: {reason or 'needs a Python >= 3.11 that every user can run'}")
        return 1
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as folder, UserManager(Path(folder), install(python)) as manager:
        machine = Machine(manager)
        with providing.provider(machine.enter) as port, crowd(machine, options.seed) as people:
            machine.set_up(port)
            soak = Soak(machine, people, options.seed)
            soak.last(options.minutes * 60)
        print(summary(soak))
        return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())

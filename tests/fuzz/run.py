"""Fuzz the targets one after the other: each in a process of its own, with its share of the time.

What fails stays in `.cache/fuzz/crashes`, and the command that tries it again is printed. What reaches something new
is added to the corpus in the repository, as long as there is room; the rest of what was found stays in
`.cache/fuzz/found`, where the next run begins.
"""

import argparse
import importlib.util
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.fuzz.corpus import FOLDER, MAX_BYTES, keep
from tests.fuzz.targets import TARGETS, load

PROJECT = Path(__file__).parents[2]
CACHE = PROJECT / ".cache" / "fuzz"
ONE_INPUT_S = 20
"""After which an input counts as a failure."""
MEMORY_MB = 2048
GROWTH = 20
"""libFuzzer's 100 is for targets that are faster: the smaller, the sooner it tries long inputs."""
SAY_S = 15.0
"""Between two lines of progress."""
LAST_WORDS = 60
"""Lines of a process that failed."""
UNAVAILABLE = (
    "atheris, which guides the fuzzer, is not installed: scripts/venv.sh fuzz does it where there is a wheel for this "
    "Python and machine. `make test` replays the corpus without it."
)


def main(arguments: Sequence[str]) -> int:
    """The number of targets in which something failed; 2 where nothing can be fuzzed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all, or some of: {', '.join(TARGETS)}")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all of them together")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="only try this input again, without a fuzzer")
    given = parser.parse_args(arguments)
    targets = given.targets or TARGETS
    if unknown := [each for each in targets if each not in TARGETS]:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if given.replay is not None:
        return replay(targets, given.replay)
    if importlib.util.find_spec("atheris") is None:
        print(UNAVAILABLE, file=sys.stderr)
        return 2
    failed = [each for each in targets if not fuzz(each, given.minutes * 60 / len(targets))]
    print(f"failed: {', '.join(failed)}" if failed else "nothing failed")
    return len(failed)


def replay(targets: Sequence[str], file: Path) -> int:
    for each in targets:
        load(each).one(file.read_bytes())
        print(f"{each}: nothing wrong with {file}")
    return 0


def fuzz(name: str, seconds: float) -> bool:
    """False if an input failed."""
    print(f"{name}: for {seconds:.0f} s", flush=True)
    crashes = CACHE / "crashes" / name
    before = crashed(crashes)
    child = subprocess.Popen(
        command(name, seconds, crashes),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with child:
        assert child.stdout is not None
        last_words = tell(name, child.stdout)
    for path in sorted(crashed(crashes) - before):
        print("".join(last_words), f"{name}: this input fails; try it again with", sep="\n")
        print(f"  .venv/bin/python -m tests.fuzz {name} --replay {path.relative_to(PROJECT)}")
    if child.returncode and crashed(crashes) == before:
        print("".join(last_words), f"{name}: the fuzzer ended with {child.returncode}", sep="\n")
    added = keep(name, load(name).one, CACHE / "found" / name)
    print(f"{name}: {len(added)} inputs are new in {(FOLDER / name).relative_to(PROJECT)}", flush=True)
    return child.returncode == 0


def crashed(folder: Path) -> set[Path]:
    return {*folder.glob("*")}


def command(name: str, seconds: float, crashes: Path) -> list[str]:
    """What it has found goes into the first folder; from the others it only reads."""
    found, kept = CACHE / "found" / name, FOLDER / name
    for folder in (found, kept, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "tests.fuzz.child", name, str(found), str(kept)),
        *(
            f"-max_total_time={seconds:.0f}",
            f"-max_len={MAX_BYTES}",
            f"-timeout={ONE_INPUT_S}",
            f"-len_control={GROWTH}",
        ),
        *(f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={crashes}/"),
    ]
    if tokens := getattr(load(name), "TOKENS", ()):
        words = CACHE / f"{name}.dict"
        words.write_text(dictionary(tokens))
        command.append(f"-dict={words}")
    return command


def dictionary(words: Iterable[bytes]) -> str:
    """libFuzzer's spelling of them, one a line."""
    spelled = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
    return "".join(f'"{each}"\n' for each in spelled)


def tell(name: str, lines: Iterable[str]) -> deque[str]:
    """Pass on how far it is, now and then. Returns the last of everything else."""
    last_words: deque[str] = deque(maxlen=LAST_WORDS)
    said = 0.0
    for line in lines:
        if not line.startswith("#"):
            last_words.append(line)
        elif time.monotonic() - said > SAY_S:
            said = time.monotonic()
            print(f"  {name} {line.strip()}", flush=True)
    return last_words

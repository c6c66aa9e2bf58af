"""The documentation names what exists, and nothing that does not."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway
from gateway.exits import ExitCode
from scripts.rooms import modules
from tests.named import ROOMS, names

PROJECT = Path(__file__).parents[1]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("gateway/units/*.md")])

NOW = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""Those that tell of the code as it is."""
PROSE = [page for page in NOW if page.name != "methods.md"]
"""Those that are written by hand."""
COLUMNS = 100


def target_exists(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    file = page.parent / path if path else page
    return file.exists() and (not anchor or anchor in anchors(file))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    broken = [link for link in links if "://" not in link and not target_exists(page, link)]
    assert not broken


@pytest.mark.parametrize("page", NOW, ids=lambda page: str(page.relative_to(PROJECT)))
def test_what_is_named_of_the_code_exists(page: Path) -> None:
    """`module:name`, `module`, `module.name` and `room/{one,other}`, each below gateway/."""
    spans = re.findall(r"`([^`\n]+)`", page.read_text())
    assert [span for span in spans if not exists(span)] == []


def exists(span: str) -> bool:
    """Whether it is there, or means nothing of the code."""
    if found := re.fullmatch(r"([A-Z]\w*[a-z]\w*)\.(\w+)", span):
        return any(f"{found[1]}.{found[2]}" in names(each) for each in modules())
    found = re.fullmatch(r"(?:gateway/)?((\w+)/[\w/]*(?:\{[\w,]+\})?)(?:\.py|[.:]([A-Za-z_][\w.]*))?(?:\(\))?", span)
    if found is None or found[2] not in ROOMS or found[1].endswith("/"):
        return True
    path, _, choice = found[1].removesuffix("/__init__").partition("{")
    wanted = [path + each for each in choice.rstrip("}").split(",")]
    there = [each for each in wanted if each in modules()]
    if there != wanted:
        return (PROJECT / "gateway" / found[1]).is_dir()
    return found[3] is None or any(found[3] in names(each) for each in there)


@pytest.mark.parametrize("page", NOW, ids=lambda page: str(page.relative_to(PROJECT)))
def test_tests_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", page.read_text())
    assert [path for path in named if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(PROJECT)))
def test_prose_is_wrapped(page: Path) -> None:
    assert [line for line in prose(page) if len(line) > COLUMNS and " " in line[COLUMNS // 2 :]] == []


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(PROJECT)))
def test_prose_has_no_riddles(page: Path) -> None:
    """CONTRIBUTING.md names the rules; these are the words that break them."""
    if page.name == "CONTRIBUTING.md" or page.parent.name == "decisions":
        return  # they speak of words
    riddles = re.compile(
        r"\b(he|his|him|whoever|anew|shall|strangers?|heir|gone on with|as it is then)\b", re.IGNORECASE
    )
    assert [line for line in prose(page) if riddles.search(re.sub(r"`[^`]*`", "", line))] == []


def prose(page: Path) -> Iterator[str]:
    """Without tables, code, and lines that a long span of code or an address makes long."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for line in text.splitlines():
        if not re.match(r"\s*\||    |#|\[[^]]+\]:", line):
            yield re.sub(r"`[^`]*`|\]\([^)]*\)", lambda found: found[0].replace(" ", "_"), line)


def test_the_readme_is_read_in_a_minute() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 100


def test_decisions_are_numbered_and_listed() -> None:
    pages = sorted(each.name for each in (PROJECT / "docs/decisions").glob("[0-9]*.md"))
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))
    listed = re.findall(r"\(decisions/([0-9][^)]+)\)", (PROJECT / "docs/architecture.md").read_text())
    assert listed == pages


def test_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (PROJECT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert versions[0] in (gateway.__version__, "Unreleased")


def test_every_exit_code_is_documented() -> None:
    rows = re.findall(
        r"^\| *(\d+) *\| *`?([A-Z_]+)`?", (PROJECT / "docs/operations.md").read_text(), flags=re.MULTILINE
    )
    assert {int(number): name for number, name in rows} == {int(code): code.name for code in ExitCode}


def test_every_make_target_is_on_the_page_for_those_who_work_on_it() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE)
    page = (PROJECT / "CONTRIBUTING.md").read_text()
    assert [target for target in targets if f"make {target}" not in page] == []


def test_classes_that_a_module_names_of_others_exist() -> None:
    """`room.module.Class` and `room.Class`, in docstrings and comments."""
    wrong = {}
    for module, path in modules().items():
        spans = re.findall(r"`([a-z_]+(?:\.[a-z_]+)*)\.([A-Z]\w*[a-z]\w*)`", path.read_text())
        ours = ((place.replace(".", "/"), name) for place, name in spans if place.split(".")[0] in ROOMS)
        if lost := [f"{place}.{name}" for place, name in ours if not defines(place, name)]:
            wrong[module] = lost
    assert wrong == {}


def defines(place: str, name: str) -> bool:
    return any(name in names(each) for each in modules() if each == place or each.startswith(f"{place}/"))

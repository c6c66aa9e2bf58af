"""Metrics as text: Prometheus' format, and OpenMetrics for who asks for it. Pure.

Prometheus' own library brings servers and clients with it: 3 MB of an idle gateway. tests/web/test_exposition.py reads
these texts with its parsers, and compares them with its own.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_SUFFIXES = {"gauge": "", "counter": "_total", "info": "_info"}
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Family(NamedTuple):
    """One metric, with a value for each set of labels."""

    name: str
    """Without the suffix of its kind."""
    kind: Literal["gauge", "counter", "info"]
    text: str
    samples: list[tuple[dict[str, str], float]]


def choose_format(accept: str) -> str:
    """The content type to answer with; `accept` is the request's header."""
    for accepted in accept.split(","):
        kind, *options = (part.strip() for part in accepted.split(";"))
        versions = [option[8:] for option in options if option.startswith("version=")]
        if kind == "application/openmetrics-text" and versions in ([], ["1.0.0"]):
            return OPENMETRICS
    return TEXT


def render(families: Iterable[Family], content_type: str) -> str:
    ends = ["# EOF\n"] if content_type == OPENMETRICS else []
    return "".join([*(line for family in families for line in _lines(family, content_type == OPENMETRICS)), *ends])


def _lines(family: Family, openmetrics: bool) -> Iterator[str]:
    sample = family.name + _SUFFIXES[family.kind]
    # The older format knows no suffixes, and no info.
    name, kind = (family.name, family.kind) if openmetrics else (sample, family.kind.replace("info", "gauge"))
    yield f"# HELP {name} {family.text}\n# TYPE {name} {kind}\n"
    for labels, value in family.samples:
        inside = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in sorted(labels.items()))
        yield f"{sample}{{{inside}}} {float(value)!r}\n" if inside else f"{sample} {float(value)!r}\n"

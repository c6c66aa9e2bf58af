"""Our texts beside those of Prometheus' own library, and as its parsers read them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from gateway.web.exposition import OPENMETRICS, TEXT, Family, choose_format, render

FAMILIES = [
    Family("a_ready", "gauge", "Whether it serves.", [({}, True)]),
    Family("a_restarts", "counter", "By kind.", [({"kind": "hot"}, 3), ({"kind": "cold"}, 0)]),
    Family("a_none", "counter", "Nothing yet.", []),
    Family("a_build", "info", "The image.", [({"version": "1.2", "id": "x"}, 1)]),
]


class Theirs(Collector):
    def collect(self) -> list[Metric]:
        restarts = CounterMetricFamily("a_restarts", "By kind.", labels=["kind"])
        restarts.add_metric(["hot"], 3)
        restarts.add_metric(["cold"], 0)
        return [
            GaugeMetricFamily("a_ready", "Whether it serves.", value=1.0),
            restarts,
            CounterMetricFamily("a_none", "Nothing yet.", labels=["why"]),
            InfoMetricFamily("a_build", "The image.", value={"version": "1.2", "id": "x"}),
        ]


@pytest.mark.parametrize(("accept", "ours"), [("", TEXT), ("application/openmetrics-text", OPENMETRICS)])
def test_the_text_is_the_librarys(accept: str, ours: str) -> None:
    registry = CollectorRegistry()
    registry.register(Theirs())
    encode, theirs = choose_encoder(accept)
    assert ours == theirs
    assert render(FAMILIES, ours) == encode(registry).decode()


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1;q=0.5, text/plain;version=0.0.4;q=0.3", TEXT),
        ("application/openmetrics-text;version=2.0.0, application/openmetrics-text;version=1.0.0", OPENMETRICS),
        # Prometheus 3
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.1", OPENMETRICS),
        (";,=;", TEXT),
    ],
)
def test_who_asks_for_openmetrics_gets_it(accept: str, chosen: str) -> None:
    assert choose_format(accept) == chosen


@given(st.dictionaries(st.sampled_from("abc"), st.text()), st.floats(allow_nan=False) | st.integers(0, 2**60))
def test_labels_and_values_come_back(labels: dict[str, str], value: float) -> None:
    family = Family("x", "gauge", "Text.", [(labels, value)])
    for parse, content_type in ((parse_text, TEXT), (parse_openmetrics, OPENMETRICS)):
        parsers: Any = parse
        (found,) = parsers(render([family], content_type))
        (sample,) = found.samples
        assert (sample.labels, sample.value) == (labels, value)

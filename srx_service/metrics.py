"""Counters of the running line as Prometheus text.

The line's names get `srx_` in front and, where they only grow, `_total` behind. A dict
becomes a sample for each of its keys, told apart by the label `kind`.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of Prometheus' text format, version 0.0.4, which every scraper reads."""

COUNTERS = {
    "messages": "ZeroMQ messages received",
    "images": "Images decoded",
    "image_bytes": "Bytes of their pixels, as the detector packed them",
    "undecodable": "Messages that could not be read, by kind",
    "ignored": "Messages that carry nothing for the line, by kind",
    "decoder_faults": "Messages that made the decoder itself fail",
    "orphans": "Images that belong to no series",
    "lost": "Messages that never came, by the numbers left out",
    "held_seconds": "Seconds that reading was held because a buffer was full",
    "forwarded": "Images sent on the secondary port",
    "dropped_for_slow_client": "Images not sent on the secondary port",
}
"""What only grows while the service runs, and what it is."""
GAUGES = {
    "frames": "Images of the newest acquisition, by what became of them",
    "clients": "Connected to the secondary port",
    "queued_bytes": "Waiting to be written",
    "forward_queued_bytes": "Waiting to be sent on the secondary port",
    "buffer_limit": "Bytes that all queues may hold",
    "disk_free_bytes": "Free where files are written",
    "disk_is_short": "1 while /status shows a disk_warning",
    "journal_waiting": "Changes of states that the journal lacks",
    "high_water_mark": "Messages that ZeroMQ may hold for each connection",
}
"""What may fall again. A name in neither table is a gauge, too."""

Metrics = Mapping[str, float | dict[str, float]]


def render(metrics: Metrics) -> bytes:
    """Return the line's counters and the process's memory, CPU and files as text."""
    registry = CollectorRegistry()
    registry.register(_LineCollector(metrics))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _LineCollector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        for name, value in self._metrics.items():
            yield _family(name, value)


def _family(name: str, value: float | dict[str, float]) -> Metric:
    family = CounterMetricFamily if name in COUNTERS else GaugeMetricFamily
    text = (COUNTERS | GAUGES).get(name, name.replace("_", " "))
    if not isinstance(value, dict):
        return family(f"srx_{name}", text, value=value)
    labelled = family(f"srx_{name}", text, labels=["kind"])
    for kind, number in value.items():
        labelled.add_metric([kind], number)
    return labelled

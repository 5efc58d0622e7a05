"""Counters of the running line as Prometheus text.

The line's names get `srx_` in front and, where they only grow, `_total` behind. A dict
becomes a sample for each of its keys, told apart by the label `kind`, or a histogram.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of Prometheus' text format, version 0.0.4, which every scraper reads."""

COUNTERS = {
    "messages": "ZeroMQ messages received",
    "images": "Images decoded",
    "image_bytes": "Bytes of their pixels, as they came, and of series' headers",
    "frames": "Images of all acquisitions, by what became of them",
    "rejected": "Images rejected, by why",
    "acquisitions": "Acquisitions that are over, by how they ended",
    "undecodable": "Messages that could not be read, by kind",
    "undecodable_messages": "Messages that could not be read, of all kinds",
    "ignored": "Messages that carry nothing for the line, by kind",
    "decoder_faults": "Messages that made the decoder itself fail",
    "orphans": "Images that belong to no series",
    "lost": "Messages that never came, by the numbers left out",
    "held_seconds": "Seconds that reading was held because a buffer was full",
    "forwarded": "Images sent on the secondary port",
    "dropped_for_slow_client": "Images not sent on the secondary port",
    "published": "Images sent on the port for subscribers",
    "dropped_for_slow_subscriber": "Images that subscribers were too slow for",
}
"""What only grows while the service runs, and what it is."""
HISTOGRAMS = {
    "write_seconds": "Seconds that it took to write a batch of images to the file",
    "flush_seconds": "Seconds that it took to make what was written durable",
}
"""What tells how long something took: see `srx_service.durations`."""
GAUGES = {
    "state": "1 for what /status says, 0 for what else it may say",
    "ready": "1 while data can be taken",
    "acquisition_frames": "Images of the newest acquisition, by what became of them",
    "clients": "Connected to the secondary port",
    "subscribers": "Connected to the port for subscribers",
    "queued_bytes": "Waiting to be written",
    "queue_limit_bytes": "With so many waiting to be written, reading is held",
    "forward_queued_bytes": "Waiting to be sent on the secondary port",
    "forward_queue_limit_bytes": "With so many waiting there, images are dropped",
    "buffer_limit": "Bytes that all queues may hold, those of ZeroMQ included",
    "disk_free_bytes": "Free where files are written",
    "disk_is_short": "1 while /status shows a disk_warning",
    "journal_waiting": "Changes of states that the journal lacks",
    "high_water_mark": "Messages that ZeroMQ may hold for each connection",
}
"""What may fall again. A name in none of the tables is a gauge, too."""

Metrics = Mapping[str, float | dict[str, float]]


def render(metrics: Metrics, about: Mapping[str, str]) -> bytes:
    """Return the line's counters and the process's memory, CPU and files as text.

    Args:
        metrics: The counters by name.
        about: Of the service: labels of `srx_info`.
    """
    registry = CollectorRegistry()
    registry.register(_LineCollector(metrics, about))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _LineCollector(Collector):
    def __init__(self, metrics: Metrics, about: Mapping[str, str]) -> None:
        self._metrics = metrics
        self._about = about

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("srx", "The service", value=dict(self._about))
        for name, value in self._metrics.items():
            yield _family(name, value)


def _family(name: str, value: float | dict[str, float]) -> Metric:
    family = CounterMetricFamily if name in COUNTERS else GaugeMetricFamily
    texts = COUNTERS | HISTOGRAMS | GAUGES
    text = texts.get(name, name.replace("_", " "))
    if not isinstance(value, dict):
        return family(f"srx_{name}", text, value=value)
    if name in HISTOGRAMS:
        buckets = [(bound, n) for bound, n in value.items() if bound != "sum"]
        return HistogramMetricFamily(f"srx_{name}", text, buckets, value["sum"])
    labelled = family(f"srx_{name}", text, labels=["kind"])
    for kind, number in value.items():
        labelled.add_metric([kind], number)
    return labelled

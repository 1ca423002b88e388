"""The Prometheus metrics; each application has its own registry."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from simple_server.identity import Identity

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds: a usual response takes about 0.0001, a scrape 0.001; a slower one waited for the interpreter or the CPU.
BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1, 1.0)


class _Counted(Collector):
    """Export the server's own count, read at each scrape: a second counter could differ from it."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> list[CounterMetricFamily]:
        return [
            CounterMetricFamily(
                "simple_server_counted_requests", "Requests counted in this process's lifetime.", value=self._count()
            )
        ]


class Metrics:
    """The metrics of one application: requests, requests in flight, durations, the count, the build and the process.

    docs/server.md lists their names and labels.
    """

    def __init__(self, identity: Identity, count: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("http_requests", "Requests answered.", ["path", "status"], registry=self._registry)
        self._answered: dict[tuple[str, str], Counter] = {}  # avoid `labels`, which takes a lock each time
        self.in_flight = Gauge("http_requests_in_flight", "Requests being answered.", registry=self._registry)
        self.duration = Histogram(
            "http_request_duration_seconds", "Time in the application.", buckets=BUCKETS, registry=self._registry
        )
        info = Gauge("simple_server_build_info", "Always 1: the labels tell.", ["pod", "build"], registry=self._registry)
        info.labels(identity.pod, identity.build).set(1)
        self._registry.register(_Counted(count))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def answered(self, path: str, status: str) -> None:
        """Count a request. Both labels must come from small sets: clients must not be able to create new series."""
        child = self._answered.get((path, status))
        if child is None:
            child = self._answered[path, status] = self._requests.labels(path, status)
        child.inc()

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

"""What Prometheus scrapes: a registry of its own for each application."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from simple_server.identity import Identity

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# seconds: an answer takes some 0.0001, a scrape 0.001, and what takes longer waited for the interpreter or the processor
BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1, 1.0)


class _Counted(Collector):
    """The server's own count, read when it is asked for: a second count could differ."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> list[CounterMetricFamily]:
        return [
            CounterMetricFamily(
                "simple_server_counted_requests", "Requests counted in this process's lifetime.", value=self._count()
            )
        ]


class Metrics:
    """`http_requests_total{path,status}`, `http_requests_in_flight`, `http_request_duration_seconds`, the count, the build.

    And what the process uses: processor, memory, files.
    """

    def __init__(self, identity: Identity, count: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("http_requests", "Requests answered.", ["path", "status"], registry=self._registry)
        self._answered: dict[tuple[str, str], Counter] = {}  # `labels` looks up under a lock each time
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
        """One more request; both are from small sets, so that nobody's requests make new series."""
        child = self._answered.get((path, status))
        if child is None:
            child = self._answered[path, status] = self._requests.labels(path, status)
        child.inc()

    def text(self) -> bytes:
        """In Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

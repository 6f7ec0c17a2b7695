"""What a server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Edges of the histogram of latencies: from a small model to the default time-out."""
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Meters:
    """The numbers of one server.

    Attributes:
        requests: By route, method and status.
        seconds: From the beginning of a request to its answer, by route.
        audio: Seconds of recordings that were decoded.
        batches: Recordings of each batch, by model.
        streams: Live streams that are open.
    """

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        by = ("route", "method", "status")
        self.requests = Counter("ser_requests", "Requests by route, method and status.", by, registry=own)
        self.seconds = Histogram(
            "ser_request_seconds", "Time to the answer.", ("route",), buckets=SECONDS, registry=own
        )
        self.audio = Counter("ser_audio_seconds", "Seconds of recordings that were decoded.", registry=own)
        self.batches = Histogram(
            "ser_batch_size", "Recordings scored together.", ("model",), buckets=SIZES, registry=own
        )
        self.queue = Gauge("ser_queue", "Recordings that wait for the model.", ("model",), registry=own)
        self.streams = Gauge("ser_streams", "Live streams that are open.", registry=own)

    def text(self) -> bytes:
        """Return all numbers in Prometheus's text format."""
        return generate_latest(self._registry)

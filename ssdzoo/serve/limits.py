"""What a server takes from strangers, and how it says no."""

from dataclasses import dataclass

from ssdzoo.errors import SSDZooError


@dataclass(frozen=True)
class Limits:
    """
    Attributes:
        body_bytes: of a request.
        images: in a request.
        pixels: of an image; fewer than a program on a desk may open, because strangers send them, two are decoded at once, and
            each takes 6 bytes per pixel.
        scanned_pixels: pixels times scans of a JPEG; so many take a few seconds.
        requests: that are decoded or wait for the network at the same time.
        held_bytes: of all requests' bodies together.
        connections: open at the same time.
        body_seconds: within which a request has to arrive.
        answer_seconds: within which it is answered from then on.
    """

    body_bytes: int = 20 << 20
    images: int = 32
    pixels: int = 1 << 26
    scanned_pixels: int = 1 << 30
    requests: int = 32
    held_bytes: int = 256 << 20
    connections: int = 500
    body_seconds: float = 30
    answer_seconds: float = 60


class Refused(SSDZooError):
    """A request that is not answered as it wants.

    Args:
        message: for its client.
        status: of HTTP.
        retry_after: seconds after which it may work, or None.
    """

    def __init__(self, message: str, status: int = 400, retry_after: int | None = None):
        super().__init__(message)
        self.status, self.retry_after = status, retry_after

"""The time as the server tells it."""

from datetime import UTC, datetime


def now(timespec: str) -> str:
    """UTC in ISO 8601, to the `timespec` of datetime.isoformat: `seconds`, `milliseconds`."""
    return datetime.now(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")

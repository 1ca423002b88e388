"""Timestamps."""

from datetime import UTC, datetime


def now(timespec: str) -> str:
    """Return the time in UTC and ISO 8601, with the precision `timespec` of datetime.isoformat."""
    return datetime.now(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")

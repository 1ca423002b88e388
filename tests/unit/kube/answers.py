"""Answers recorded from a real API server, without the fields that neither the package nor a test reads."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recorded"


def recorded(name: str) -> Any:
    """Return the answers recorded as `name`."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def event(name: str, seconds: int, reason: str, message: str, **more: object) -> dict[str, Any]:
    """Return a warning event about the pod `name`, at `seconds` seconds past 14:45."""
    about, time = {"kind": "Pod", "name": name}, f"2026-11-24T14:45:{seconds}Z"
    return {"involvedObject": about, "type": "Warning", "lastTimestamp": time, "reason": reason, "message": message, **more}

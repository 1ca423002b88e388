"""Answers recorded from a real API server, without the fields that neither the package nor a test reads."""

import json
from pathlib import Path
from typing import Any

from kubetasks.project.labels import TOOL
from tasks import PROJECT

FOLDER = Path(__file__).parent / "recorded"


def recorded(name: str, app: str = PROJECT.application.name) -> Any:
    """Return the answers recorded as `name`, as if the application were called `app`."""
    text = (FOLDER / f"{name}.json").read_text()
    return json.loads(text.replace(PROJECT.application.name, app).replace(f"{app}-tasks", TOOL.name))


def event(name: str, seconds: int, reason: str, message: str, **more: object) -> dict[str, Any]:
    """Return a warning event about the pod `name`, at `seconds` seconds past 14:45."""
    about, time = {"kind": "Pod", "name": name}, f"2026-11-24T14:45:{seconds}Z"
    return {"involvedObject": about, "type": "Warning", "lastTimestamp": time, "reason": reason, "message": message, **more}

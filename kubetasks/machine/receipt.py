"""The receipt of what setup installed on this machine, so that it can be removed: one JSON file in the cache folder."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Receipt:
    """`packages`: installed with apt by us; `engine_pid`: of the engine that we started, 0 for none;
    `folders`: of the engine that were not there before; `pulled`: images that setup pulled."""

    packages: list[str] = field(default_factory=list)
    engine_pid: int = 0
    folders: list[str] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)


def read(cache: Path) -> Receipt:
    path = cache / "receipt.json"
    return Receipt(**json.loads(path.read_text())) if path.exists() else Receipt()


def write(cache: Path, receipt: Receipt) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    fresh = cache / "receipt.json.new"
    fresh.write_text(json.dumps(asdict(receipt), indent=2))
    fresh.rename(cache / "receipt.json")

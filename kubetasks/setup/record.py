"""What setup made on this machine outside the engine, so that it can be taken away again: one JSON file in the cache folder."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Record:
    """`packages`: installed with apt by us; `engine_pid`: of the engine that we started, 0 for none;
    `folders`: of the engine that were not there before; `pulled`: images that setup pulled."""

    packages: list[str] = field(default_factory=list)
    engine_pid: int = 0
    folders: list[str] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)


def read(cache: Path) -> Record:
    path = cache / "record.json"
    return Record(**json.loads(path.read_text())) if path.exists() else Record()


def write(cache: Path, record: Record) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    fresh = cache / "record.json.new"
    fresh.write_text(json.dumps(asdict(record), indent=2))
    fresh.rename(cache / "record.json")

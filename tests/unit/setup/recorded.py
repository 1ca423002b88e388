"""Programs that answer with recorded output instead of running, and an engine that removes nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubetasks.engine.client import Created
from kubetasks.terminal import shell


class Programs:
    """Stands in for shell.run. `outputs` maps the start of a command line to its outputs, the last of which repeats."""

    def __init__(self, patch: pytest.MonkeyPatch, outputs: Mapping[str, str | list[str]]) -> None:
        self.calls: list[str] = []
        self._outputs = {begin: [output] if isinstance(output, str) else output for begin, output in outputs.items()}
        patch.setattr(shell, "run", self._run)

    def called(self, begin: str) -> list[str]:
        """Return the command lines that start with `begin`."""
        return [call for call in self.calls if call.startswith(begin)]

    def _run(self, argv: Sequence[str], **_more: Any) -> str:
        line = " ".join(argv)
        self.calls.append(line)
        outputs = next(found for begin, found in self._outputs.items() if line.startswith(begin))
        return outputs.pop(0) if len(outputs) > 1 else outputs[0]


BUILT = [f"simple-server-{what}:built" for what in ("node", "kicbase", "base", "registry")]


class FakeEngine:
    """Stands in for kubetasks.engine.client.Engine."""

    root = Path()  # where it keeps its data

    def __init__(self, *things: str, clusters: tuple[Created, ...] = (), used: str = "") -> None:
        self._things, self._clusters, self._used = things, clusters, used
        self.removed: list[str] = []

    def clusters(self) -> list[Created]:
        return list(self._clusters)

    def image_tags(self, repository: str) -> list[str]:
        return [f"{repository}:built"]

    @property
    def info(self) -> dict[str, str]:
        return {"DockerRootDir": str(self.root)}

    def others(self, pulled: list[str]) -> list[str]:
        return [thing for thing in self._things if thing.removeprefix("image ") not in pulled]

    def users(self, reference: str) -> list[str]:
        return ["theirs"] if reference == self._used else []

    def remove_image(self, reference: str) -> bool:
        self.removed.append(reference)
        return True

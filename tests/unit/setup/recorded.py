"""Programs that answer with recorded output instead of running."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kubetasks.terminal import shell


class Programs:
    """Stands for shell.run. `outputs` maps the beginning of a command line to its outputs, the last of which repeats."""

    def __init__(self, patch: pytest.MonkeyPatch, outputs: Mapping[str, str | list[str]]) -> None:
        self.calls: list[str] = []
        self._outputs = {begin: [output] if isinstance(output, str) else output for begin, output in outputs.items()}
        patch.setattr(shell, "run", self._run)

    def called(self, begin: str) -> list[str]:
        """The command lines that begin like that."""
        return [call for call in self.calls if call.startswith(begin)]

    def _run(self, argv: Sequence[str], **_more: Any) -> str:
        line = " ".join(argv)
        self.calls.append(line)
        outputs = next(found for begin, found in self._outputs.items() if line.startswith(begin))
        return outputs.pop(0) if len(outputs) > 1 else outputs[0]

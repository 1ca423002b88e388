"""Complete a clean-up whose run ended at a second Ctrl-C: `python -m kubetasks.pipeline.completion discard|clean`.

The settings come as JSON on standard input. `discard` removes a cluster whose creation was interrupted, unless another run has
completed it meanwhile. `clean` removes everything, as `inv dev --clean` does at its end.
"""

import sys

from kubetasks import providers
from kubetasks.pipeline import app
from kubetasks.pipeline.run import Context
from kubetasks.project import settings
from kubetasks.project.application import APPLICATION
from kubetasks.terminal import interruption
from kubetasks.terminal.report import Report


def complete(word: str, context: Context) -> None:
    """Do what the word says. Raises TaskError, for one if the cluster is not ours."""
    own = providers.lifecycle(context.provider)
    if word == "clean":
        app.clean(context, everything=True)
    else:
        own.discard()


def _unasked(question: str) -> None:
    raise AssertionError(question)  # only a cluster of others is asked for


if __name__ == "__main__":
    interruption.restore()
    complete(sys.argv[1], Context(settings.from_json(sys.stdin.read()), APPLICATION, Report(), _unasked))

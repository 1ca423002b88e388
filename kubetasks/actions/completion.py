"""Complete a clean-up whose run ended at a second Ctrl-C: `python -m kubetasks.actions.completion discard`, or `clean`.

The settings come as JSON on standard input. `discard` removes a cluster whose creation was interrupted, unless another run has
completed it meanwhile; `clean` removes everything, as `inv dev --clean` does at its end.
"""

import sys

from kubetasks import settings
from kubetasks.actions import app
from kubetasks.actions.context import Context
from kubetasks.application import APPLICATION
from kubetasks.providers.base import Lifecycle
from kubetasks.report import Report


def complete(word: str, context: Context) -> None:
    """Do what the word says. Raises TaskError."""
    provider = context.provider
    if isinstance(provider, Lifecycle):
        provider.discard()
    if word == "clean":
        app.clean(context, everything=isinstance(provider, Lifecycle))


if __name__ == "__main__":
    complete(sys.argv[1], Context(settings.from_json(sys.stdin.read()), APPLICATION, Report(), lambda _question: None))

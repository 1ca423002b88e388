"""The part that all tasks share, before and after their own."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from invoke import tasks
from invoke.context import Context

from kubetasks.project import words
from kubetasks.project.settings import OURS

if TYPE_CHECKING:
    from kubetasks.pipeline.run import Run

P = ParamSpec("P")
JSON = "one JSON document on standard output"


def task(*, piped: bool = False, **options: Any) -> Callable[[Callable[Concatenate["Run", P], None]], Any]:
    """Make a task of a function that gets the invocation's run. A parameter `json` makes standard output that one document.

    `piped`: its result is for another program. `options` are those of invoke. Its messages have the project's own words.
    """

    def decorate(body: Callable[Concatenate["Run", P], None]) -> Any:
        @functools.wraps(body)
        def begun(c: Context, *args: P.args, **given: P.kwargs) -> None:
            from kubetasks.pipeline.run import begin

            with words.spoken(c.config[OURS]["project"].words):
                body(begin(c, json=bool(given.get("json")), piped=piped), *args, **given)

        return tasks.task(begun, **options)

    return decorate

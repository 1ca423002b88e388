"""The decorator of all tasks, which gives each one the run of its invocation."""

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
    """Make a task from a function that takes the invocation's run. With its parameter `json`, stdout is one JSON document.

    `piped`: its result is for another program. `options` are invoke's. Its messages use the project's own words.
    """

    def decorate(body: Callable[Concatenate["Run", P], None]) -> Any:
        @functools.wraps(body)
        def begun(c: Context, *args: P.args, **given: P.kwargs) -> None:
            from kubetasks.pipeline.run import begin

            with words.spoken(c.config[OURS]["project"].words):
                body(begin(c, json=bool(given.get("json")), piped=piped), *args, **given)

        return tasks.task(begun, **options)

    return decorate

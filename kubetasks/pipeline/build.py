"""The image of the current source: built, and known to be built."""

from collections.abc import Callable

from kubetasks.engine import access, image
from kubetasks.engine.image import Image
from kubetasks.errors import EngineError, ImageError
from kubetasks.pipeline.run import Run
from kubetasks.terminal import equivalents


def build(run: Run, abandoned: Callable[[], bool] = lambda: False, *, tagged: bool = True) -> Image:
    """Build the image of the current source; `tagged`: the tutorial's name means it then. Raises ImageError.

    Once `abandoned` returns True, the build ends at its next line of output. Raises EngineError then.
    """
    report, made = run.report, run.image
    found = run.if_it_answers(lambda: run.engine)
    names = (image.our_names(found, made) if found else made.names) if tagged else [made.reference]
    for name in made.names:
        if tagged and name not in names:
            report.say(f"{name} was not built by these tasks: it stays as it is.")
    if not report.equivalent(equivalents.build(run.app, names, made.arguments)):
        return made
    if run.engine.image_id(made.reference):
        image.build(run.engine, made, names, lambda _line: None)
        report.say(f"{made.reference} is already built.")
        return made
    with report.step(f"Building {made.reference}") as step:

        def on_line(text: str) -> None:
            if abandoned():
                raise EngineError(f"The build of {made.reference} was abandoned.", "./inv build")
            step.at(text)

        image.build(run.engine, made, names, on_line)
    return made


def require_built(run: Run, made: Image) -> None:
    """Raises ImageError if the image is in no engine from which the provider delivers."""
    if run.provider.builds:
        image.require_built([run.engine, run.host_engine], made)
        return
    node = access.node_of_shell()
    if node and not run.host_engine.image_id(made.reference):
        raise ImageError(
            f"{made.reference} is not in this machine's engine: this shell's docker uses the engine of node {node}.",
            f"unset {' '.join(access.SHELL_VARIABLES)}; ./inv build",
        )
    image.require_built([run.host_engine], made)

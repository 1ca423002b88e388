"""The image of the current source: built, and known to be built."""

from collections.abc import Callable

from kubetasks.engine import access, image
from kubetasks.engine.image import Image
from kubetasks.errors import EngineError, ImageError
from kubetasks.pipeline.run import Run
from kubetasks.project.words import INV
from kubetasks.terminal.door import At, pairs


def build(run: Run, abandoned: Callable[[], bool] = lambda: False, *, tagged: bool = True) -> Image:
    """Build the image of the current source; `tagged`: the tutorial's name means it then. Raises ImageError.

    Once `abandoned` returns True, the build ends at its next line of output. Raises EngineError then.
    """
    report, made, app = run.report, run.image, run.app
    engine = run.do.known(lambda: run.engine, None)
    names = (image.our_names(engine, made) if engine else made.names) if tagged else [made.reference]
    for name in made.names:
        if tagged and name not in names:
            report.say(f"{name} was not built by these tasks: it stays as it is.")

    def make(at: At) -> None:
        def on_line(text: str) -> None:
            if abandoned():
                raise EngineError(f"The build of {made.reference} was abandoned.", f"{INV} build")
            at(text)

        image.build(run.engine, made, names, on_line)

    there = engine is not None and engine.image_id(made.reference) is not None
    tags = [word for name in names for word in ("--tag", name)]
    words = [*tags, *pairs("--build-arg", made.arguments), *pairs("--label", app.owner.labels)]
    where = ["--file", str(app.dockerfile), str(app.source)] if app.dockerfile else ["."]
    run.do(["docker", "build", *words, *where], make, "" if there else f"Building {made.reference}")
    if there:
        report.say(f"{made.reference} is already built.")
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
            f"unset {' '.join(access.SHELL_VARIABLES)}; {INV} build",
        )
    image.require_built([run.host_engine], made)

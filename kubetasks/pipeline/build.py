"""The images of the current source: built, and known to be built."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from kubetasks.engine import access, image
from kubetasks.engine.client import Engine
from kubetasks.engine.image import Image
from kubetasks.errors import EngineError, ImageError
from kubetasks.pipeline.run import Run
from kubetasks.project import files
from kubetasks.project.words import INV
from kubetasks.terminal.door import At, pairs

SIDE_BY_SIDE = 2  # builds; each keeps about one core busy


def build(run: Run, abandoned: Callable[[], bool] = lambda: False, *, tagged: bool = True) -> Sequence[Image]:
    """Build the images of the current source, side by side; `tagged`: the tutorial's names mean them then. Raises ImageError.

    Once `abandoned` returns True, a build ends at its next line of output. Raises EngineError then.
    """
    images, engine, over = run.images, run.do.known(lambda: run.engine, None), threading.Event()
    lacking = [made for made in images if engine is None or engine.image_id(made.reference) is None]

    def make(made: Image) -> None:
        _build(run, engine, made, lambda: over.is_set() or abandoned(), tagged=tagged, there=made not in lacking)

    def side_by_side() -> bool:
        with run.do.step(f"Building {len(images)} images"), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            try:
                for build in as_completed([pool.submit(make, made) for made in images]):
                    build.result()
            except BaseException:
                over.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return True

    if len(lacking) < 2 or not run.do.unless_dry(side_by_side):
        for made in images:
            make(made)
    return images


def _build(run: Run, engine: Engine | None, made: Image, abandoned: Callable[[], bool], *, tagged: bool, there: bool) -> None:
    report, source = run.report, made.source
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

    tags = [word for name in names for word in ("--tag", name)]
    words = [*tags, *pairs("--build-arg", made.arguments), *pairs("--label", run.app.owner.labels)]
    words += ["--target", source.target] if source.target else []
    folder = run.project.folder
    words += ["--file", files.shown(source.dockerfile, folder)] if source.dockerfile != source.context / "Dockerfile" else []
    run.do(["docker", "build", *words, files.shown(source.context, folder)], make, "" if there else f"Building {made.reference}")
    if there:
        report.say(f"{made.reference} is already built.")


def require_built(run: Run) -> None:
    """Raises ImageError if an image is in no engine from which the provider delivers."""
    for made in run.images:
        _require_built(run, made)


def _require_built(run: Run, made: Image) -> None:
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

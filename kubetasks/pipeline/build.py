"""Build the images of the current source, or require that they are built."""

import queue
import threading
from collections.abc import Callable, Sequence

from kubetasks.engine import access, image
from kubetasks.engine.client import Engine
from kubetasks.engine.image import Image
from kubetasks.errors import EngineError, ImageError
from kubetasks.pipeline.run import LOOK_SECONDS, Run
from kubetasks.project import files
from kubetasks.project.words import INV
from kubetasks.terminal import interruption
from kubetasks.terminal.door import At, pairs

SIDE_BY_SIDE = 2  # builds at a time; each keeps about one core busy
ABANDON_SECONDS = 3.0


def build(run: Run, abandoned: Callable[[], bool] = lambda: False, *, tagged: bool = True) -> Sequence[Image]:
    """Build the images of the current source in parallel, and return them; `tagged` gives them the tutorial's names too.

    Once `abandoned` returns True, a build stops at its next line of output with EngineError. Raises ImageError, EngineError.
    """
    images, engine, over = run.images, run.do.known(lambda: run.engine, None), threading.Event()
    lacking = [made for made in images if engine is None or engine.image_id(made.reference) is None]

    def make(made: Image) -> None:
        _build(run, engine, made, lambda: over.is_set() or abandoned(), tagged=tagged, built=made not in lacking)

    def side_by_side() -> bool:
        waiting, ended = iter(images), queue.SimpleQueue[BaseException | None]()

        def work() -> None:
            for made in waiting:
                try:
                    make(made)
                    ended.put(None)
                except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
                    ended.put(error)
                    return

        builders = [threading.Thread(target=work, daemon=True) for _ in range(SIDE_BY_SIDE)]  # silent steps must not block exit
        with run.do.step(f"Building {len(lacking)} images"):
            try:
                for builder in builders:
                    builder.start()
                for _ in images:
                    if error := _next(ended):
                        raise error
            except BaseException as error:
                over.set()
                if isinstance(error, KeyboardInterrupt):
                    interruption.terminate_all()
                for builder in builders:  # or an image would appear after a clean-up that follows
                    if builder.is_alive():  # a signal may have come before it was started
                        builder.join(ABANDON_SECONDS / SIDE_BY_SIDE)
                raise
        return True

    if len(lacking) < 2 or not run.do.unless_dry(side_by_side):
        for made in images:
            make(made)
    return images


def _next(ended: "queue.SimpleQueue[BaseException | None]") -> BaseException | None:
    """Wait until the next build ends, and return its error or None. A signal that Python dropped raises KeyboardInterrupt."""
    while True:
        try:
            return ended.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            interruption.check()


def _build(run: Run, engine: Engine | None, made: Image, abandoned: Callable[[], bool], *, tagged: bool, built: bool) -> None:
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
    run.do(["docker", "build", *words, files.shown(source.context, folder)], make, "" if built else f"Building {made.reference}")
    if built:
        report.say(f"{made.reference} is already built.")


def require_built(run: Run) -> None:
    """Raise ImageError if an image is in none of the engines from which the provider delivers."""
    builds, node = run.provider.builds, access.node_of_shell()
    for made in run.images:
        if run.host_engine.image_id(made.reference) or (builds and run.engine.image_id(made.reference)):
            continue
        if node and not builds:
            raise ImageError(
                f"{made.reference} is not in this machine's engine: this shell's docker uses the engine of node {node}.",
                f"unset {' '.join(access.SHELL_VARIABLES)}; {INV} build",
            )
        raise ImageError(f"The current source has not been built: {made.reference} is not in the engine.", f"{INV} build")

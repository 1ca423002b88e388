"""The inner loop: build, deliver and roll out each change of the source, and check that it is served."""

import os
import queue
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from kubetasks.engine.content import IGNORE_FILE, context_entries
from kubetasks.errors import ExposeError, ImageError, RolloutError, TaskError
from kubetasks.kube.manifests import SUFFIXES, is_generated
from kubetasks.pipeline import app, build, removal
from kubetasks.pipeline.converge import converge
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from kubetasks.project.application import Application
from kubetasks.project.words import INV
from kubetasks.providers.own import Own
from kubetasks.terminal import interruption
from kubetasks.terminal.report import duration

DEBOUNCE_MS = 50  # an editor may take this long to write all files of one save
BEGIN_MS = 100
BUILDING = "building"
NAMED = 3  # changed files named in a line


class Watch:
    """A background watch of an application's sources and manifests. Raises TaskError if they cannot be watched."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._changes: queue.Queue[set[Path]] = queue.Queue()
        self._begun, self._end = threading.Event(), threading.Event()
        self._broken: TaskError | None = None
        self._watched: set[Path] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._begun.wait()
        if self._broken:
            raise self._broken

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                self._watch(self._entries())
        except Exception as error:  # noqa: BLE001  a folder that is gone, or the kernel's limit of watches
            hint = f"WATCHFILES_FORCE_POLLING=1 {INV} dev polls instead"
            self._broken = TaskError(f"The source cannot be watched: {error}", hint)
            self._changes.put(set())
        finally:
            self._begun.set()

    def _watch(self, known: set[Path]) -> None:
        """Watch the folders of the sources and manifests until they change. `known` are the entries of the build contexts."""
        import watchfiles

        folders, again = self._folders(known), self._begun.is_set()
        for changes in watchfiles.watch(
            *folders,
            recursive=False,  # a build context's folder holds more than the image, such as .venv
            debounce=DEBOUNCE_MS,
            step=DEBOUNCE_MS // 2,
            stop_event=self._end,
            rust_timeout=BEGIN_MS,
            yield_on_timeout=True,  # the only sign that the watch has started
        ):
            if again and (new := folders - self._watched):  # they may have got files before they were watched
                self._changes.put(new)
            again, self._watched = False, folders
            self._begun.set()
            if changes:
                before, known = known, self._entries() or known
                files = {path for path in (Path(name) for _, name in changes) if self._matters(path, before | known)}
                if files:
                    self._changes.put(files)
                if self._folders(known) != folders:
                    return

    def _entries(self) -> set[Path]:
        with suppress(OSError):  # a folder was deleted while being read: that is reported as its own change
            contexts = {source.context for source in self._app.sources}
            return {context / name for context in contexts for name in context_entries(context)}
        return set()

    def _folders(self, entries: set[Path]) -> set[Path]:
        """Return the folders whose files are part of the images or the manifests."""
        own = {folder for source in self._app.sources for folder in (source.context, source.dockerfile.parent)}
        inside = {parent for entry in entries for parent in (entry, *entry.parents) if any(map(parent.is_relative_to, own))}
        manifests = self._app.manifests
        applied = [manifests, *(path for path in manifests.rglob("*") if path.is_dir())] if manifests else []
        return {*own, *filter(Path.is_dir, inside), *applied}

    def _matters(self, path: Path, entries: set[Path]) -> bool:
        """Return whether a path is part of the images or the manifests; `entries` are the build contexts', old and new."""
        if self._app.manifests and self._app.manifests in path.parents:
            return path.suffix in SUFFIXES or is_generated(self._app.manifests)
        files = {file for source in self._app.sources for file in (source.dockerfile, source.context / IGNORE_FILE)}
        return path in entries | files

    def pending(self) -> bool:
        """Return whether there are changes that `next` has not returned yet."""
        return not self._changes.empty()

    def next(self) -> set[Path]:
        """Wait for changes, and return all pending ones. Raises TaskError if the watch has failed."""
        files: set[Path] = set()
        while not files or self.pending():
            files |= self._changes.get()
            if self._broken:
                raise self._broken
        return files

    def close(self) -> None:
        self._end.set()
        self._thread.join()


def loop(run: Run, clean: bool) -> None:
    """Bring the application up, then roll out each change until Ctrl-C. If `clean`, remove everything at the end.

    A failed change, even the first, is reported, and the last good build keeps serving. Raises what `up` raises if no edit can
    fix it; a cluster that existed before is then kept, even if `clean`. Raises TaskError if the source cannot be watched.
    """
    ours = isinstance(run.provider, Own)  # the user has not agreed yet to change an existing cluster
    may_clean = ours and run.do.known(run.provider.phase, "missing") == "missing"
    watch = Watch(run.app)  # started first, so that no edit made meanwhile is lost
    run.forget("images", "manifests")
    try:
        begun = run.do.unless_dry(lambda: _up(run))
        if begun is None:
            app.up(run)
        else:
            may_clean |= begun[0]
            served = _serve(run, watch, *begun, kept=not clean)
            clean = clean and (ours or served)
    except KeyboardInterrupt:
        clean = clean and (ours or may_clean)  # the user has not agreed to a change, and is not asked now
        raise
    except Exception:
        clean = clean and may_clean
        raise
    finally:
        watch.close()
        if clean:
            with interruption.cleaning():
                removal.clean(run, everything=ours)


def _up(run: Run) -> tuple[bool, str]:
    """Bring the application up; return whether it is up (if not, an edit must fix it), and its URL outside the cluster or ""."""
    try:
        return True, app.up(run).url
    except (ImageError, RolloutError, ExposeError) as error:
        if run.provider.phase() != "running":
            raise
        run.report.result(str(error.message))
        return False, ""


def _serve(run: Run, watch: Watch, whole: bool, url: str, *, kept: bool) -> bool:
    """Roll out each change until Ctrl-C; return whether the application has come up."""
    if url:
        run.report.result(url)
    with suppress(KeyboardInterrupt):
        folders = (*(source.context for source in run.app.sources), run.app.manifests)
        watched = dict.fromkeys(str(folder) for folder in folders if folder)
        run.report.say(f"Watching {', '.join(watched)}. Ctrl-C ends it.")
        whole = _follow(run, watch, whole=whole)
    if kept and whole:
        run.report.say(f"The last good build keeps serving: {INV} clean removes it.")
    return whole


def _follow(run: Run, watch: Watch, *, whole: bool = True) -> bool:
    served, changed, failed = frozenset[str](), set[Path](), not whole
    run.superseded, run.report.quiet = watch.pending, True
    try:
        while True:
            changed |= watch.next()
            rolled_out = _roll_out_change(run, changed, served, again=failed, whole=whole)
            failed = not rolled_out
            if rolled_out:
                served, changed, whole = rolled_out, set(), True  # after a failure, the next line names these changes too
    except KeyboardInterrupt:
        return whole
    finally:
        run.superseded, run.report.quiet = lambda: False, False


def _roll_out_change(run: Run, changed: set[Path], served: frozenset[str], *, again: bool, whole: bool = True) -> frozenset[str]:
    """Build, deliver and roll out, and print a line; return the image references, or none if it failed or was superseded.
    `served` are those of the last success; `again` rolls out even if they are unchanged. Unless `whole`, expose and scale too.
    """
    report, started = run.report, time.monotonic()
    exposed = any(run.app.manifests in path.parents for path in changed)
    report.stages.clear()
    try:
        run.forget("images", "manifests", "seen")
        own, now = run.image, frozenset(image.reference for image in run.images)
        if now == served and not (exposed or again):
            return served  # saved without a change
        build.build(run, run.superseded)
        if run.superseded():
            return frozenset()
        wanted = Desired(run.images, exposed=exposed or not whole, replicas=None if whole else run.settings.replicas)
        done = converge(run, wanted, own.build, "always")
    except TaskError as error:
        if not run.superseded():
            report.result(f"{_edit(run, changed)}: {error.message}")
        return frozenset()
    stages = ", ".join(f"{name} {duration(seconds)}" for name, seconds in _stages(report.stages, run.app).items())
    seen = f"{done.served} pods serve" if done.served else "rolled out:"
    others = "".join(f", {name}" for name in sorted(now - served - {own.reference}) if served)
    total = duration(time.monotonic() - started)
    report.result(f"{_edit(run, changed)}: {seen} {own.build}{others} after {total} ({stages})")
    if done.addresses and not whole:
        report.result(done.addresses[0].url)
    return now


def _stages(steps: Iterable[tuple[str, float]], app: Application) -> dict[str, float]:
    """Return the seconds of each kind of step, without the images' names: "building", "rolling out"."""
    stages = dict[str, float]()
    for text, seconds in steps:
        name = "already deployed" if text.endswith(" deployed") else text
        for source in app.sources:
            name = name.partition(f" {source.name}:")[0]
        stages[name.lower()] = stages.get(name.lower(), 0) + seconds
    if any(name.startswith(f"{BUILDING} ") for name in stages):  # "building N images" covers each of them
        stages.pop(BUILDING, None)
    return stages


def _edit(run: Run, changed: Iterable[Path]) -> str:
    """Return the start of a line: the time and the files that changed."""
    names = sorted(os.path.relpath(path, run.project.folder) for path in changed)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{time.strftime('%H:%M:%S')}  {', '.join(names[:NAMED])}{more}"

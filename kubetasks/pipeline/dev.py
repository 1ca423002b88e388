"""The inner loop: each change of the source is built, delivered and rolled out, and seen to be served."""

import os
import queue
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePath

from kubetasks.engine.content import IGNORE_FILE, context_entries
from kubetasks.errors import TaskError
from kubetasks.kube.manifests import SUFFIXES, is_kustomized
from kubetasks.pipeline import app, build, removal
from kubetasks.pipeline.converge import converge
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from kubetasks.project.application import Application
from kubetasks.project.words import INV
from kubetasks.providers.own import Own
from kubetasks.terminal import interruption
from kubetasks.terminal.report import duration

DEBOUNCE_MS = 50  # until an editor has written all files of one save
BEGIN_MS = 100
NAMED = 3  # changed files that a line names


class Watch:
    """Changes of an application's source and manifests, seen in the background from now on. Raises TaskError."""

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

    def _watch(self, known: set[str]) -> None:
        """Watch what the image is made from, until there are other folders of it. `known` are the entries of its context."""
        import watchfiles

        folders, again = self._folders(known), self._begun.is_set()
        for changes in watchfiles.watch(
            *folders,
            recursive=False,  # the source's folder holds more than the image, such as .venv
            debounce=DEBOUNCE_MS,
            step=DEBOUNCE_MS // 2,
            stop_event=self._end,
            rust_timeout=BEGIN_MS,
            yield_on_timeout=True,  # nothing else says that the watch has begun
        ):
            if again:  # before it began, files may have come into a new folder
                self._changes.put(folders - self._watched)
            again, self._watched = False, folders
            self._begun.set()
            if changes:
                before, known = known, self._entries() or known
                files = {path for path in (Path(name) for _, name in changes) if self._matters(path, before | known)}
                if files:
                    self._changes.put(files)
                if self._folders(known) != folders:
                    return

    def _entries(self) -> set[str]:
        with suppress(OSError):  # a folder has gone while it was read: its own change comes
            return set(context_entries(self._app.source))
        return set()

    def _folders(self, entries: set[str]) -> set[Path]:
        """The folders whose files are part of the image or the manifests."""
        source, manifests = self._app.source, self._app.manifests
        inside = {source / parent for name in entries for parent in (PurePath(name), *PurePath(name).parents)}
        applied = [manifests, *(path for path in manifests.rglob("*") if path.is_dir())] if manifests else []
        return {source, self._app.build_file.parent, *filter(Path.is_dir, inside), *applied}

    def _matters(self, path: Path, entries: set[str]) -> bool:
        """Whether a path is part of the image or the manifests; `entries` are those of the image's context, now and before."""
        if self._app.manifests and self._app.manifests in path.parents:
            return path.suffix in SUFFIXES or is_kustomized(self._app.manifests)
        source = self._app.source
        inside = path.is_relative_to(source) and str(path.relative_to(source)) in entries
        return inside or path in (self._app.build_file, source / IGNORE_FILE)

    def pending(self) -> bool:
        """Whether there are changes that `next` has not returned."""
        return not self._changes.empty()

    def next(self) -> set[Path]:
        """Wait for changes, and return all that there are. Raises TaskError if nothing is watched any more."""
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
    """Bring the application up, and then each change of its source, until Ctrl-C. Remove everything at the end if `clean`.

    A failed change is reported, and the last good build keeps serving. Raises what `up` raises; then a cluster that was there
    before stays.
    """
    ours = isinstance(run.provider, Own)  # nobody has agreed yet that one of others is changed
    may_clean = ours and run.do.known(run.provider.phase, "missing") == "missing"
    watch = Watch(run.app)  # first: what changes while it comes up is not lost
    run.forget("image", "manifests")
    try:
        url = app.up(run).url
        may_clean = True
        run.do.unless_dry(lambda: _serve(run, watch, url, kept=not clean))
    except KeyboardInterrupt:
        clean = clean and (ours or may_clean)  # a person who has not agreed to a change is not asked now
        raise
    except Exception:
        clean = clean and may_clean
        raise
    finally:
        watch.close()
        if clean:
            with interruption.cleaning():
                removal.clean(run, everything=ours)


def _serve(run: Run, watch: Watch, url: str, *, kept: bool) -> None:
    run.report.result(url)
    with suppress(KeyboardInterrupt):
        run.report.say(f"Watching {run.app.source}. Ctrl-C ends it.")
        _follow(run, watch)
    if kept:
        run.report.say(f"The last good build keeps serving: {INV} clean removes it.")


def _follow(run: Run, watch: Watch) -> None:
    served, changed = "", set[Path]()
    run.superseded, run.report.quiet = watch.pending, True
    try:
        while True:
            changed |= watch.next()
            served = _bring(run, changed, served)
            if served:
                changed = set()  # otherwise the next line is of these changes too
    finally:
        run.superseded, run.report.quiet = lambda: False, False


def _bring(run: Run, changed: set[Path], served: str) -> str:
    """Build, deliver and roll out, and print a line. `served` is the build before, "" if that is not known; return that now."""
    report, started = run.report, time.monotonic()
    exposed = any(run.app.manifests in path.parents for path in changed)
    report.stages.clear()
    try:
        run.forget("image", "manifests", "seen")
        made = run.image
        if made.build == served and not exposed:
            return served  # saved without a change
        build.build(run, run.superseded)
        if run.superseded():
            return ""
        pods = converge(run, Desired(image=made, exposed=exposed), made.build, "always").served
    except TaskError as error:
        if not run.superseded():
            report.result(f"{_time()}  {_names(run, changed)}: {error.message}")
        return ""
    stages = ", ".join(f"{_stage(text, run.app.name)} {duration(seconds)}" for text, seconds in report.stages)
    seen = f"{pods} pods serve" if pods else "rolled out:"
    total = duration(time.monotonic() - started)
    report.result(f"{_time()}  {_names(run, changed)}: {seen} {made.build} after {total} ({stages})")
    return made.build


def _time() -> str:
    return time.strftime("%H:%M:%S")


def _stage(text: str, name: str) -> str:
    """What a step did, without the image's name: "building", "rolling out"."""
    return text.partition(f" {name}")[0].lower()


def _names(run: Run, changed: Iterable[Path]) -> str:
    names = sorted(os.path.relpath(path, run.project.folder) for path in changed)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more

"""The inner loop: each change of the source is built, delivered and rolled out, and seen to be served."""

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

DEBOUNCE_MS = 50  # until an editor has written all files of one save
BEGIN_MS = 100
BUILDING = "building"
NAMED = 3  # changed files that a line names


class Watch:
    """Changes of an application's sources and manifests, seen in the background from now on. Raises TaskError."""

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
        """Watch what the images are made from, until there are other folders of it. `known` are the entries of their contexts."""
        import watchfiles

        folders, again = self._folders(known), self._begun.is_set()
        for changes in watchfiles.watch(
            *folders,
            recursive=False,  # a source's folder holds more than the image, such as .venv
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

    def _entries(self) -> set[Path]:
        with suppress(OSError):  # a folder has gone while it was read: its own change comes
            contexts = {source.context for source in self._app.sources}
            return {context / name for context in contexts for name in context_entries(context)}
        return set()

    def _folders(self, entries: set[Path]) -> set[Path]:
        """The folders whose files are part of the images or the manifests."""
        own = {folder for source in self._app.sources for folder in (source.context, source.dockerfile.parent)}
        inside = {parent for entry in entries for parent in (entry, *entry.parents) if any(map(parent.is_relative_to, own))}
        manifests = self._app.manifests
        applied = [manifests, *(path for path in manifests.rglob("*") if path.is_dir())] if manifests else []
        return {*own, *filter(Path.is_dir, inside), *applied}

    def _matters(self, path: Path, entries: set[Path]) -> bool:
        """Whether a path is part of the images or the manifests; `entries` are those of the contexts, now and before."""
        if self._app.manifests and self._app.manifests in path.parents:
            return path.suffix in SUFFIXES or is_generated(self._app.manifests)
        files = {file for source in self._app.sources for file in (source.dockerfile, source.context / IGNORE_FILE)}
        return path in entries | files

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

    A failed change is reported, also if it is the first, and the last good build keeps serving. Raises what `up` raises and no
    edit could mend; then a cluster that was there before stays.
    """
    ours = isinstance(run.provider, Own)  # nobody has agreed yet that an existing one is changed
    may_clean = ours and run.do.known(run.provider.phase, "missing") == "missing"
    watch = Watch(run.app)  # first: what changes while it comes up is not lost
    run.forget("images", "manifests")
    try:
        begun = run.do.unless_dry(lambda: _up(run))
        if begun is None:
            app.up(run)
        else:
            may_clean = True
            served = _serve(run, watch, *begun, kept=not clean)
            clean = clean and (ours or served)
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


def _up(run: Run) -> tuple[bool, str]:
    """Bring the application up; return whether it is, or an edit must mend it first, and its URL, "" without one outside."""
    try:
        return True, app.up(run).url
    except (ImageError, RolloutError, ExposeError) as error:
        if run.provider.phase() != "running":
            raise
        run.report.result(str(error.message))
        return False, ""


def _serve(run: Run, watch: Watch, whole: bool, url: str, *, kept: bool) -> bool:
    """Follow the changes until Ctrl-C; return whether the application was brought up."""
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
            brought = _bring(run, changed, served, again=failed, whole=whole)
            failed = not brought
            if brought:
                served, changed, whole = brought, set(), True  # otherwise the next line is of these changes too
    except KeyboardInterrupt:
        return whole
    finally:
        run.superseded, run.report.quiet = lambda: False, False


def _bring(run: Run, changed: set[Path], served: frozenset[str], *, again: bool, whole: bool = True) -> frozenset[str]:
    """Build, deliver and roll out, and print a line; return the images, none if that failed. `served` are those of the last time
    that it did not; `again`, even if they are the same. What is not `whole` is exposed and scaled too.
    """
    report, started = run.report, time.monotonic()
    exposed = any(run.app.manifests in path.parents for path in changed)
    report.stages.clear()
    try:
        run.forget("images", "manifests", "seen")
        own, now = run.image, frozenset(made.reference for made in run.images)
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
    """The seconds of each kind of step, named without the images': "building", "rolling out"."""
    stages = dict[str, float]()
    for text, seconds in steps:
        name = "already deployed" if text.endswith(" deployed") else text
        for source in app.sources:
            name = name.partition(f" {source.name}:")[0]
        stages[name.lower()] = stages.get(name.lower(), 0) + seconds
    if any(name.startswith(f"{BUILDING} ") for name in stages):  # several at once, which has each of them
        stages.pop(BUILDING, None)
    return stages


def _edit(run: Run, changed: Iterable[Path]) -> str:
    """The time, and the files that changed: the beginning of a line."""
    names = sorted(os.path.relpath(path, run.project.folder) for path in changed)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{time.strftime('%H:%M:%S')}  {', '.join(names[:NAMED])}{more}"

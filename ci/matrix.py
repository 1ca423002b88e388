"""The jobs of `inv test`: style, types, Pythons, Kubernetes, other providers, the page; the tier decides how many.

They run one after the other, with a table at the end.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ci import browsers, dockerd, engines, junit, pythons
from ci.pythons import PYTHONS
from kubetasks import providers
from kubetasks.engine import access, client
from kubetasks.errors import ProgramError, SetupError, TaskError
from kubetasks.project.labels import TOOL
from kubetasks.project.settings import DEFAULTS, Settings
from kubetasks.project.versions import KUBERNETES
from kubetasks.setup import inventory
from kubetasks.terminal import shell
from kubetasks.terminal.door import Door
from kubetasks.terminal.report import duration

FOLDER = Path(__file__).resolve().parents[1]
REPORTS = FOLDER / "reports"
LINTS = ("lint", "type")
LOWEST = "lowest"
THOROUGH_LINTS = (*LINTS, "lint-ci", "docs", LOWEST)
DEFAULT_PROVIDER = DEFAULTS["cluster"]["provider"]
CORE_SECONDS = 300  # the core tier's goal, on two cores with everything installed
SLOWEST = 10
NEWEST = "newest engine"
ENGINES = {"modern engine": f"Docker of Debian {engines.RELEASE}", NEWEST: f"Docker {dockerd.RELEASE}"}
MACHINES = {"cgroup v2": ["-m", "ci.machine"], "rootless engine": ["-m", "ci.machine", "rootless"]}
ON_AN_ENGINE = ("tests/core", "tests/thorough/images", "tests/thorough/application/test_remove.py")
PAGE = ("tests/core/test_page.py", "tests/thorough/page")
YARDSTICK = "import time; start = time.perf_counter(); import invoke, docker, kubernetes; print(time.perf_counter() - start)"

Tier = Literal["core", "thorough", "exhaustive"]
SUMMARY_CHARACTERS = 8000  # of one failure; GitHub accepts one mebibyte in total

Outcome = Literal["passed", "failed", "not tested"]

# The container provides only the interpreter: packages, tox and tests are the same as here. The run writes to /tmp.
IN_CONTAINER = """\
uv venv --quiet /tmp/tox
uv pip install --quiet --python /tmp/tox --require-hashes --requirement requirements/tox.txt
/tmp/tox/bin/tox run --workdir /tmp/work -e "$1"
"""


@dataclass(frozen=True)
class Job:
    """`name` is the tox environment of a lint job, the provider, the Python or Kubernetes minor, the engine or the machine.

    `required`: it was requested by name. `page`: it includes the tests of the page.
    """

    kind: Literal["lint", "python", "kubernetes", "provider", "browser", "engine", "machine"]
    name: str
    tier: Tier = "core"
    required: bool = False
    page: bool = True

    @property
    def title(self) -> str:
        return f"{self.kind.capitalize()} {self.name}" if self.kind in ("python", "kubernetes") else self.name

    @property
    def environment(self) -> str:
        """The tox environment."""
        python = f"py{self.name.replace('.', '')}"
        return {"python": python, "lint": self.name}.get(self.kind, "integration")

    @property
    def python(self) -> str:
        """The Python minor that it needs, or ""."""
        return next(iter(PYTHONS)) if self.name == LOWEST else self.name if self.kind == "python" else ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of pytest for tests on clusters, otherwise ()."""
        if self.kind in ("lint", "python"):
            return ()
        if self.kind == "browser":
            return PAGE[:1] if self.tier == "core" else PAGE
        if self.kind == "engine":
            return ON_AN_ENGINE
        # in the thorough tier, another provider gets only the core tests: deployment, exposure, scaling, removal
        deep = self.tier == "exhaustive" or (self.tier == "thorough" and self.kind == "kubernetes")
        marked = ("--exhaustive",) if self.tier == "exhaustive" else ()
        return ("tests/core", *(("tests/thorough",) if deep else ()), *marked)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables with its settings, in addition to those already set."""
        if self.kind in ("lint", "python"):
            return {}
        provider = self.name if self.kind == "provider" else DEFAULT_PROVIDER
        # the page does not depend on the Kubernetes minor: it is tested on the one in the settings
        minor = {"INVOKE_CLUSTER_KUBERNETES": self.name} if self.kind == "kubernetes" else {}
        return {**minor, "INVOKE_CLUSTER_PROVIDER": provider}

    @property
    def line(self) -> str:
        """The equivalent command."""
        if self.kind == "machine":
            return shell.line(["python", *MACHINES[self.name]], self.variables)
        arguments = ("--", *self.arguments) if self.arguments else ()
        line = shell.line(["tox", "run", "-e", self.environment, *arguments], self.variables)
        return f"{line}  # on {ENGINES[self.name]}" if self.kind == "engine" else line

    @property
    def report(self) -> Path:
        """Its JUnit file."""
        return REPORTS / f"{self.environment if self.kind == 'python' else self.title.lower().replace(' ', '-')}.xml"


@dataclass(frozen=True)
class Result:
    """How a job ended. `where` is where it ran, or the error that prevented or ended it."""

    job: Job
    outcome: Outcome
    where: str
    seconds: float = 0.0
    tests: junit.Tests | None = None


def jobs(
    tier: Tier,
    kubernetes_of_settings: str,
    *,
    lint: bool = False,
    unit: bool = False,
    python: str = "",
    kubernetes: str = "",
    minikube: bool = False,
    browser: bool = False,
    engine: bool = False,
) -> list[Job]:
    """Return the tier's jobs of the requested parts, or of all parts if none is requested."""
    everything = not (lint or unit or python or kubernetes or minikube or browser or engine)
    chosen = [Job("lint", name, tier) for name in (LINTS if tier == "core" else THOROUGH_LINTS)] if lint or everything else []
    if python:
        chosen.append(Job("python", python, tier, required=True))
    elif unit or everything:
        chosen += [Job("python", minor, tier) for minor in _pythons(tier)]
    if kubernetes:
        chosen.append(Job("kubernetes", kubernetes, tier, required=True, page=not browser))
    elif everything:
        chosen += [Job("kubernetes", minor, tier) for minor in (KUBERNETES if tier == "exhaustive" else [kubernetes_of_settings])]
    if minikube or (everything and tier != "core"):
        chosen.append(Job("provider", "minikube", tier, required=minikube))
    if browser:
        chosen.append(Job("browser", "page", tier, required=True))
    if engine or (everything and tier == "exhaustive"):
        chosen += [Job("engine", name, tier, required=engine) for name in ENGINES]
    if everything and tier == "exhaustive":
        chosen += [Job("machine", name, tier) for name in MACHINES]
    return chosen


def _pythons(tier: Tier) -> list[str]:
    """Return the Python minors of the unit tests: this one, the oldest and the newest, or all."""
    minors = list(PYTHONS)
    here = ".".join(platform.python_version_tuple()[:2])
    return {"core": [here if here in PYTHONS else minors[-1]], "thorough": [minors[0], minors[-1]], "exhaustive": minors}[tier]


def run(settings: Settings, do: Door, wanted: list[Job]) -> Iterator[Result]:
    """Run the jobs one after the other, and yield the results. A job that lacks something is not tested; the others still run."""
    REPORTS.mkdir(exist_ok=True)
    for job in wanted:
        job.report.unlink(missing_ok=True)
        try:
            where, start = _prepare(settings, do, job)
        except TaskError as error:
            yield Result(job, "not tested", _why(error))
            continue
        started = time.monotonic()
        try:
            code = start()
        except TaskError as error:  # for example, the engine has stopped meanwhile
            yield Result(job, "failed", error.sentence, time.monotonic() - started)
            continue
        if job.kind == "lint":
            junit.write(job.report, job.name, f"tox run -e {job.name} ended with {code}" if code else "")
        yield Result(job, "failed" if code else "passed", where, time.monotonic() - started, junit.read(job.report))
    left_out = [job for job in wanted if job.kind == "kubernetes" and job.page]
    if left_out and not browsers.find():
        yield Result(Job("browser", "page", left_out[0].tier), "not tested", f"{browsers.NEEDED} {browsers.INSTALL}")


def _why(error: TaskError) -> str:
    """Return what is missing and the command that installs it."""
    return f"{error.sentence} {error.hint}".strip()


def _prepare(settings: Settings, do: Door, job: Job) -> tuple[str, Callable[[], int]]:
    """Return where the job will run, and a function that runs it and returns the exit code. Raises TaskError if it cannot run.

    Nothing is installed for the core tier, unless a Python or the page was requested by name.
    """
    install = job.required or job.tier != "core"
    if job.kind == "kubernetes":
        where = _set_up(replace(settings, provider=DEFAULT_PROVIDER, kubernetes=job.name), do)
        browser = _browser(settings, do, job.tier != "core") if job.page else ""
        left_out = [] if browser else [f"--ignore={path}" for path in PAGE]
        return where + (f", {browser}" if browser else ""), lambda: _tox(job, *left_out)
    if job.kind == "provider":
        where = _set_up(replace(settings, provider=job.name), do)
        return where, lambda: _tox(job)
    if job.kind == "browser":
        where = _set_up(replace(settings, provider=DEFAULT_PROVIDER), do)  # first: if it fails, no browser needs to be installed
        return f"{where}, {browsers.ensure(settings, do, install)}", lambda: _tox(job)
    if job.kind in ("engine", "machine"):
        engines.require_possible()
        of_provider = replace(settings, provider=DEFAULT_PROVIDER)
        where = _set_up(of_provider, do)
        if job.kind == "machine":
            argv = [sys.executable, *MACHINES[job.name]]
            return f"Debian {engines.RELEASE}, emulated, {where}", lambda: shell.show(argv, env=job.variables)
        return f"{ENGINES[job.name]}, {where}", lambda: _on_modern_engine(of_provider, do, job)
    if job.python:
        interpreter = find_python(job.python)
        if not interpreter:
            image = pythons.image(settings, do, job.python, install)
            return image.split("@")[0], lambda: _contained(settings, job, image)
        return interpreter, lambda: _tox(job)
    return "this machine", lambda: _tox(job)


def _browser(settings: Settings, do: Door, install: bool) -> str:
    """Return the browser's name and version, or "" if there is none."""
    try:
        return browsers.ensure(settings, do, install)
    except SetupError:
        return ""


def _set_up(settings: Settings, do: Door) -> str:
    """Return the node image of the provider's clusters, and this Python's version. Raises SetupError if something is missing."""
    items = inventory.look(settings, providers.select(settings, do, client.connect).requirements)
    missing = [item for item in items if not item.present]
    if missing:
        raise SetupError(f"Missing: {', '.join(item.name for item in missing)}.", inventory.remedies(settings, missing))
    node = next(item.detail for item in items if item.name == "node image")
    return f"{node}, Python {platform.python_version()}"


def _tox(job: Job, *more: str) -> int:
    """Run the job's tests, with `more` arguments for pytest; return the exit code."""
    return shell.show(_words(job, *more), env=job.variables)


def _words(job: Job, *more: str) -> list[str]:
    argv = [sys.executable, "-m", "tox", "run", "--skip-missing-interpreters=false", "-e", job.environment]
    return [*argv, *(["--", f"--junitxml={job.report}", *job.arguments, *more] if job.arguments else [])]


def _on_modern_engine(settings: Settings, do: Door, job: Job) -> int:
    needed = providers.select(settings, do, client.connect).requirements
    with engines.modern(settings, do, needed, newest=job.name == NEWEST) as engine:
        left_out = [] if browsers.find() else [f"--ignore={path}" for path in PAGE]
        return shell.show(engine.inside(_words(job, *left_out)), env={**job.variables, **engine.variables})


def find_python(minor: str) -> str:
    """Return this machine's interpreter of that minor, or ""."""
    options = ["--system", "--no-python-downloads", "--python-preference=only-system"]
    try:
        return shell.run([str(_uv()), "python", "find", *options, minor]).strip()
    except ProgramError:
        return ""


def _uv() -> Path:
    return Path(sys.executable).with_name("uv")


def _contained(settings: Settings, job: Job, image: str) -> int:
    cache = settings.cache / "uv"
    cache.mkdir(parents=True, exist_ok=True)
    mounts = {FOLDER: "/project:ro", REPORTS: "/reports", cache: "/uv", _uv(): "/usr/local/bin/uv:ro"}
    variables = {
        "HOME": "/tmp",  # noqa: S108  the container's own
        "UV_CACHE_DIR": "/uv",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "true",  # the image has this machine's certificates
        "REPORTS": "/reports",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }
    argv = [
        "docker",
        "run",
        "--rm",
        "--init",
        "--workdir=/project",
        f"--user={os.getuid()}:{os.getgid()}",
        f"--label={TOOL.selector}",
    ]
    argv += [f"--volume={path}:{target}" for path, target in mounts.items()]
    argv += [f"--env={name}={value}" for name, value in variables.items()]
    return shell.show([*argv, image, "sh", "-euc", IN_CONTAINER, "sh", job.environment], env=access.environment())


def rows(results: list[Result]) -> list[tuple[str, str, str, str]]:
    """Return the rows of the final table: part, result, time, and where it ran or why it did not."""
    return [
        (
            result.job.title,
            _result(result),
            duration(result.seconds) if result.seconds else "",
            result.where,
        )
        for result in results
    ]


def _result(one: Result) -> str:
    if one.tests is None or one.job.kind == "lint":
        return one.outcome
    return str(one.tests) if one.outcome == "passed" else f"{one.outcome}: {one.tests}"


def slowest(results: list[Result]) -> list[tuple[str, str, str]]:
    """Return the rows of the table of the slowest tests: test, time, job."""
    found = [
        (seconds, name, result.job.title)
        for result in results
        if result.tests and result.job.kind != "lint"
        for name, seconds in result.tests.seconds
    ]
    return [(name, duration(seconds), title) for seconds, name, title in sorted(found, reverse=True)[:SLOWEST]]


def yardstick() -> float:
    """Return the seconds that importing invoke, docker and kubernetes takes: a measure of this machine's speed today."""
    return min(float(shell.run([sys.executable, "-c", YARDSTICK])) for _ in range(3))


def of_the_goal(seconds: float) -> str:
    """Report how much of the core tier's goal a run took."""
    return (
        f"Core took {duration(seconds)} of {duration(CORE_SECONDS)}. "
        f"Importing invoke, docker and kubernetes takes {yardstick():.2f} s here."
    )


def summary(results: list[Result]) -> str:
    """Return the final table in Markdown for a GitHub job's page, with the tests' notes and failures."""
    lines = ["| part | result | time | where |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows(results)]
    for result in results:
        for name, value in result.tests.notes if result.tests else ():
            lines += ["", f"**{result.job.title}: {name}**", "", "```", value.rstrip(), "```"]
        for name, text in result.tests.failures if result.tests else ():
            head, tail = text[: SUMMARY_CHARACTERS // 2], text[SUMMARY_CHARACTERS // 2 :][-SUMMARY_CHARACTERS // 2 :]
            lines += ["", f"<details><summary>{result.job.title}: {name}</summary>", "", "```", head + tail, "```", "</details>"]
    return "\n".join(lines) + "\n"

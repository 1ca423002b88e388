"""The cells of `inv test`: style, types, each Python, each Kubernetes, each other provider, the page.

They run one by one, with a table at the end.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kubetasks import artifacts, engine, providers, shell
from kubetasks.application import APPLICATION, PROJECT
from kubetasks.errors import ProgramError, SetupError, TaskError
from kubetasks.machine import inventory
from kubetasks.report import Report, duration
from kubetasks.settings import DEFAULTS, Settings
from kubetasks.testing import browsers, junit, pythons
from kubetasks.versions import KUBERNETES, PYTHONS

REPORTS = PROJECT / "reports"
LINTS = ("lint", "type", "lint-ci")
DEFAULT_PROVIDER = DEFAULTS["cluster"]["provider"]
SUMMARY_CHARACTERS = 8000  # of one failure; GitHub takes a mebibyte in all

Outcome = Literal["passed", "failed", "not tested"]

# A container provides the interpreter alone: packages, tox and tests are the same as here. A run writes to /tmp.
IN_CONTAINER = """\
uv venv --quiet /tmp/tox
uv pip install --quiet --python /tmp/tox --require-hashes --requirement requirements/tox.txt
/tmp/tox/bin/tox run --workdir /tmp/work -e "$1"
"""


@dataclass(frozen=True)
class Cell:
    """`name` is the tox environment of lint and browser, the provider, or the minor of the others.

    `required`: it was requested by name.
    """

    kind: Literal["lint", "python", "kubernetes", "provider", "browser"]
    name: str
    required: bool = False

    @property
    def title(self) -> str:
        return f"{self.kind.capitalize()} {self.name}" if self.kind in ("python", "kubernetes") else self.name

    @property
    def environment(self) -> str:
        """The tox environment."""
        python = f"py{self.name.replace('.', '')}"
        return {"python": python, "kubernetes": "integration", "provider": "integration"}.get(self.kind, self.name)

    @property
    def variables(self) -> dict[str, str]:
        """The settings that the environment runs with, besides those that are there."""
        if self.kind == "kubernetes":
            return {"INVOKE_CLUSTER_KUBERNETES": self.name, "INVOKE_CLUSTER_PROVIDER": DEFAULT_PROVIDER}
        # the page is tested on the Kubernetes of the settings: it does not depend on it
        providers = {"provider": self.name, "browser": DEFAULT_PROVIDER}
        return {"INVOKE_CLUSTER_PROVIDER": providers[self.kind]} if self.kind in providers else {}

    @property
    def report(self) -> Path:
        """Its JUnit file."""
        return REPORTS / f"{self.environment if self.kind == 'python' else self.title.lower().replace(' ', '-')}.xml"


@dataclass(frozen=True)
class Result:
    """How a cell ended. `where` it ran, or why it was not tested."""

    cell: Cell
    outcome: Outcome
    where: str
    seconds: float = 0.0
    tests: junit.Tests | None = None


def cells(
    *,
    lint: bool = False,
    unit: bool = False,
    python: str = "",
    kubernetes: str = "",
    minikube: bool = False,
    browser: bool = False,
) -> list[Cell]:
    """The cells that were requested, or all."""
    everything = not (lint or unit or python or kubernetes or minikube or browser)
    chosen = [Cell("lint", name) for name in LINTS] if lint or everything else []
    if python:
        chosen.append(Cell("python", python, required=True))
    elif unit or everything:
        chosen += [Cell("python", minor) for minor in PYTHONS]
    if kubernetes:
        chosen.append(Cell("kubernetes", kubernetes, required=True))
    elif everything:
        chosen += [Cell("kubernetes", minor) for minor in KUBERNETES]
    if minikube or everything:
        chosen.append(Cell("provider", "minikube", required=minikube))
    if browser or everything:
        chosen.append(Cell("browser", "browser", required=browser))
    return chosen


def run(settings: Settings, report: Report, wanted: list[Cell]) -> Iterator[Result]:
    """Run the cells one after the other. One that lacks something is not tested; the others still run."""
    REPORTS.mkdir(exist_ok=True)
    for cell in wanted:
        cell.report.unlink(missing_ok=True)
        try:
            where, start = _prepare(settings, report, cell)
        except TaskError as error:
            yield Result(cell, "not tested", error.sentence)
            continue
        started = time.monotonic()
        try:
            code = start()
        except TaskError as error:  # for example an engine that ended meanwhile
            yield Result(cell, "failed", error.sentence, time.monotonic() - started)
            continue
        if cell.kind == "lint":
            junit.write(cell.report, cell.name, f"tox run -e {cell.name} ended with {code}" if code else "")
        yield Result(cell, "failed" if code else "passed", where, time.monotonic() - started, junit.read(cell.report))


def _prepare(settings: Settings, report: Report, cell: Cell) -> tuple[str, Callable[[], int]]:
    """Where the cell will run, and a function that runs it and returns the exit code. Raises TaskError if it lacks something."""
    if cell.kind == "kubernetes":
        where = f"{_node_image(settings, cell.name)}, Python {platform.python_version()}"
        return where, lambda: _tox(cell, *_integration(cell))
    if cell.kind == "provider":
        where = _set_up(settings.for_provider(cell.name), report)
        return where, lambda: _tox(cell, *_integration(cell))
    if cell.kind == "browser":
        node = _node_image(settings, settings.kubernetes)  # first: without one, no browser needs to be installed
        where = f"{browsers.ensure(settings, report)}, {node}"
        words = ("--", f"--junitxml={cell.report}", "tests/browser")
        return where, lambda: _tox(cell, *words)
    if cell.kind == "python":
        interpreter = find_python(cell.name)
        if not interpreter:
            image = pythons.image(settings, report, cell.name)
            return image.split("@")[0], lambda: _contained(settings, report, cell, image)
        return interpreter, lambda: _tox(cell)
    return "this machine", lambda: _tox(cell)


def _integration(cell: Cell) -> tuple[str, ...]:
    """The words after those of tox that run the tests on clusters."""
    return "--", f"--junitxml={cell.report}", "tests/integration"


def _set_up(settings: Settings, report: Report) -> str:
    """What the provider's clusters run on. Raises SetupError if something is missing."""
    items = inventory.look(settings, providers.select(settings, APPLICATION, report, engine.connect).needs)
    missing = next((item for item in items if not item.present), None)
    if missing and missing.name == inventory.DOCKER:
        raise SetupError(f"The {missing.name} is missing.", missing.remedy)
    if missing:
        raise SetupError(
            f"{settings.provider} is not set up: INVOKE_CLUSTER_PROVIDER={settings.provider} ./inv setup installs it."
        )
    node = next(item.detail for item in items if item.name == "node image")
    return f"{node}, Python {platform.python_version()}"


def _tox(cell: Cell, *words: str) -> int:
    argv = [sys.executable, "-m", "tox", "run", "--skip-missing-interpreters=false", "-e", cell.environment, *words]
    return shell.show(argv, env=cell.variables)


def find_python(minor: str) -> str:
    """The interpreter of that minor on this machine, or ""."""
    options = ["--system", "--no-python-downloads", "--python-preference=only-system"]
    try:
        return shell.run([str(_uv()), "python", "find", *options, minor]).strip()
    except ProgramError:
        return ""


def _uv() -> Path:
    return Path(sys.executable).with_name("uv")


def _contained(settings: Settings, report: Report, cell: Cell, image: str) -> int:
    cache = settings.cache / "uv"
    cache.mkdir(parents=True, exist_ok=True)
    return engine.connect().run(
        image,
        ["sh", "-euc", IN_CONTAINER, "sh", cell.environment],
        {PROJECT: ("/project", "ro"), REPORTS: ("/reports", "rw"), cache: ("/uv", "rw"), _uv(): ("/usr/local/bin/uv", "ro")},
        {
            "HOME": "/tmp",  # noqa: S108  the container's own
            "UV_CACHE_DIR": "/uv",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_SYSTEM_CERTS": "true",  # the image has this machine's certificates
            "REPORTS": "/reports",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
        },
        f"{os.getuid()}:{os.getgid()}",
        report.say,
    )


def _node_image(settings: Settings, minor: str) -> str:
    """The node image of that minor. Raises SetupError if it is missing."""
    node = artifacts.node_image(engine.connect(), settings.for_kubernetes(minor))
    if not node.present:
        raise SetupError(f"Its node image is missing: INVOKE_CLUSTER_KUBERNETES={minor} ./inv setup installs it.")
    return node.short


def rows(results: list[Result]) -> list[tuple[str, str, str, str]]:
    """The rows of the closing table: part, result, time, and where it ran or why it did not."""
    return [
        (
            one.cell.title,
            _result(one),
            duration(one.seconds) if one.seconds else "",
            one.where,
        )
        for one in results
    ]


def _result(one: Result) -> str:
    if one.tests is None or one.cell.kind == "lint":
        return one.outcome
    return str(one.tests) if one.outcome == "passed" else f"{one.outcome}: {one.tests}"


def summary(results: list[Result]) -> str:
    """The same in Markdown for a job's page, with the tests' notes and failures."""
    lines = ["| part | result | time | where |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows(results)]
    for one in results:
        for name, value in one.tests.notes if one.tests else ():
            lines += ["", f"**{one.cell.title}: {name}**", "", "```", value.rstrip(), "```"]
        for name, text in one.tests.failures if one.tests else ():
            head, tail = text[: SUMMARY_CHARACTERS // 2], text[SUMMARY_CHARACTERS // 2 :][-SUMMARY_CHARACTERS // 2 :]
            lines += ["", f"<details><summary>{one.cell.title}: {name}</summary>", "", "```", head + tail, "```", "</details>"]
    return "\n".join(lines) + "\n"

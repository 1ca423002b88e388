"""The tasks that only this repository has: `test`, with a table of what was and was not tested, and `docs`."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kubetasks.errors import SettingError, SetupError, TaskError
from kubetasks.project.settings import one_of, whole_number
from kubetasks.project.versions import KUBERNETES
from kubetasks.tasks.task import task

if TYPE_CHECKING:
    from kubetasks.pipeline.run import Run

SUMMARY = "GITHUB_STEP_SUMMARY"  # the file that GitHub Actions shows on a job's page


@task(
    help={
        "all": "the thorough tier: everything that must hold before a change lands",
        "exhaustive": "every test on every version",
        "lint": "only style and types; with --all the workflows too",
        "unit": "only the unit tests; with --all on the oldest and newest Python, with --exhaustive on each",
        "python": "only the unit tests, on that Python",
        "kubernetes": "only the tests on throwaway clusters of that minor",
        "minikube": "only the tests on a throwaway minikube cluster",
        "browser": "only the tests of the page in Chromium, on a throwaway cluster",
        "engine": "only what depends on the container engine, on newer ones than this machine's",
    }
)
def test(
    run: "Run",
    all: bool = False,
    exhaustive: bool = False,
    lint: bool = False,
    unit: bool = False,
    python: str = "",
    kubernetes: str = "",
    minikube: bool = False,
    browser: bool = False,
    engine: bool = False,
) -> None:
    """Test that what the README promises holds.

    Runs style, types, the unit tests on this Python, and the core tests: deployment, exposure, scaling, removal, the page
    and the README's own commands, on two throwaway clusters. --all tests everything else too: faults, interruptions, images,
    other clusters, minikube if that was set up. --exhaustive adds every moment of an interruption, every Python, every
    Kubernetes that is installed, all of minikube, newer container engines, and emulated machines. JUnit files go to
    reports/.

    It removes its clusters, and leaves .tox and reports/. What a part lacks is named in the table at the end; --all,
    --exhaustive and --browser install Chromium with apt, as root; the two tiers and --python add images of Pythons.

    Example: ./inv test --all --kubernetes=1.36
    Undo: ./inv setup --remove; rm -rf .tox reports
    """
    from ci import matrix, pythons

    if all and exhaustive:
        raise SettingError("--all and --exhaustive exclude each other: --exhaustive tests everything that --all does.")
    if python:
        one_of("--python", python, tuple(pythons.PYTHONS))
    if kubernetes:
        one_of("--kubernetes", kubernetes, tuple(KUBERNETES))
    started = time.monotonic()
    tier: matrix.Tier = "exhaustive" if exhaustive else "thorough" if all else "core"
    wanted = matrix.jobs(
        tier,
        run.settings.kubernetes,
        lint=lint,
        unit=unit,
        python=python,
        kubernetes=kubernetes,
        minikube=minikube,
        browser=browser,
        engine=engine,
    )
    results = run.do("\n".join(job.line for job in wanted), lambda _: list(matrix.run(run.settings, run.do, wanted)))
    if results is None:
        return
    if os.environ.get(SUMMARY):
        with Path(os.environ[SUMMARY]).open("a") as page:
            page.write(matrix.summary(results))
    run.report.table(("TESTED", "RESULT", "TIME", "WHERE, OR WHY NOT"), matrix.rows(results))
    slowest = matrix.slowest(results)
    if slowest:
        run.report.table(("SLOWEST TESTS", "TIME", "IN"), slowest)
    if wanted == matrix.jobs("core", run.settings.kubernetes):
        run.report.say(matrix.of_the_goal(time.monotonic() - started))
    failed = [result.job.title for result in results if result.outcome == "failed"]
    missing = [result for result in results if result.job.required and result.outcome == "not tested"]
    if failed:
        raise TaskError(f"Failed: {', '.join(failed)}.", "The reasons are above, with the command for one test; more in reports/")
    if missing:
        raise SetupError(f"{missing[0].job.title} was requested and not tested: {missing[0].where}")


@task(help={"port": "of 127.0.0.1, 8000 by default"})
def docs(run: "Run", port: str = "8000") -> None:
    """Build and serve the website of the documentation.

    It listens on 127.0.0.1 until Ctrl-C.

    Example: ./inv docs --port=8001
    Undo: rm -rf .tox/docs reports/site
    """
    from ci import site

    number = whole_number("--port", port, 1, 65535)
    line = f"python3 -m http.server --bind=127.0.0.1 --directory=reports/site {number}"

    def serve() -> None:
        with site.server(number) as server:
            site.build()
            run.report.result(f"http://127.0.0.1:{number}/")
            run.report.say("Ctrl-C ends it.")
            with suppress(KeyboardInterrupt):
                server.serve_forever()

    run.do(f"{' '.join(site.BUILD)}\n{line}", lambda _: serve())

"""The workflows, run by act as a user like the one on GitHub's runners: not root, in the engine's group, with a new home folder.

As there, `unshare` fails (AppArmor refuses it) and few variables are set: here, those for registries and proxies. Differences:
images are built instead of pulled, Chromium is used only if this machine has it, a stand-in for actions/setup-python creates a
virtual environment with this machine's Python, act copies the folder for checkout, other actions do nothing, no sudo.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubetasks.setup import requirements
from kubetasks.tasks.init import WORKFLOW
from kubetasks.terminal.door import Door
from kubetasks.terminal.report import Report
from nodeimages import golang
from tasks import PROJECT
from tests.support import leftovers, person, public, source
from tests.support.driver import Tasks, run
from tests.support.person import Person
from tests.thorough.package.test_init import APPS
from tests.unit.ci.test_workflows import FILES

SECONDS = 3600  # timeout for one workflow
MACHINE = "ubuntu-24.04"
REFUSED = "#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n"
REGISTRIES = re.compile("(PIP|UV|SSL|CURL|REQUESTS|GIT_SSL)_.*|GO(PROXY|SUMDB|NOSUMDB)|.*_PROXY", re.IGNORECASE)
DOES = "runs: {{ using: composite, steps: [{{ run: '{}', shell: bash }}] }}\n"
ACTIONS = {"actions/setup-python": 'python3 -m venv "$RUNNER_TEMP/python" && echo "$RUNNER_TEMP/python/bin" >>"$GITHUB_PATH"'}
US = "OWNER/REPOSITORY"  # as in docs/ci.md
INIT = "import sys; sys.argv = ['kubetasks', 'init', '--yes']; from kubetasks.__main__ import main; main()"
OTHERS = """\
on: push
{jobs}    with: {{ kubernetes: '["{kubernetes}"]', provider: minikube, packages: {packages} }}
  action:
    needs: kubernetes
    runs-on: {machine}
    steps:
      - uses: {checkout}
      - uses: {us}/.github/actions/kubetasks@TAG
        with: {{ kubernetes: "{kubernetes}", python: "3", packages: {packages} }}
      - run: pytest -n auto
"""

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.timeout(2 * SECONDS),
    pytest.mark.skipif(not person.can_be_made(), reason="needs root, useradd and setpriv"),
]


class Runner:
    """Runs workflows of repositories in a user's home folder; `project` is a copy of this repository."""

    def __init__(self, somebody: Person, variables: dict[str, str]) -> None:
        self.home = somebody.home
        self._person = somebody
        self._variables = variables
        self.actions = {*re.findall(r"uses: (actions/\S+)", "".join(path.read_text() for path in FILES.values()))}
        self.packages = f"--editable {self.home}/project pytest pytest-xdist"  # editable: with the packages that build images
        self.project = source.clone(self.home / "project")
        cluster = self.project / ".github" / "workflows" / "cluster.yml"
        cluster.write_text(cluster.read_text().replace("INVOKE_SETUP_IMAGES: pull", "INVOKE_SETUP_IMAGES: auto"))

    def passes(self, workflow: Path, *words: str) -> None:
        """Run the workflow's jobs as if its repository had been pushed, and check that they succeed."""
        folder = workflow.parents[2]
        for command in ("init --initial-branch=main", "add .", "-c user.name=Somebody -c user.email= commit -m all"):
            run(["git", *command.split()], folder)
        self._person.owns(self.home)
        argv = [*self._person.words, str(self.home / "act"), "push", f"--workflows={workflow}", "--concurrent-jobs=1"]
        argv += [f"--platform={MACHINE}=-self-hosted", "--no-cache-server", *words]
        argv += [f"--local-repository={US}@TAG={self.project}", *self._stand_ins()]
        ended = subprocess.run(argv, cwd=folder, env=self._variables, timeout=SECONDS, check=False)
        assert ended.returncode == 0, workflow.read_text()

    def _stand_ins(self) -> Iterator[str]:
        for used in self.actions:
            name = used.partition("@")[0]
            (folder := self.home / name).mkdir(parents=True, exist_ok=True)
            (folder / "action.yml").write_text(DOES.format(ACTIONS.get(name, "true")))
            yield f"--local-repository={used}={folder}"


@pytest.fixture
def runner(alone: None, clusterless: Tasks, tmp_path: Path) -> Iterator[Runner]:  # noqa: ARG001
    settings = clusterless.settings
    with person.made() as somebody:
        for need in (requirements.KIND, requirements.LOAD_BALANCER, requirements.MINIKUBE):
            file = Path(need.find(None, settings).reference)
            target = somebody.home / ".cache" / "kubetasks" / file.relative_to(settings.cache)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.exists():
                shutil.copy2(file, target)
        go = golang.program(settings, Door(Report()), tmp_path / "log")
        act = ["build", "-o", str(somebody.home / "act"), "github.com/nektos/act"]
        run([go, *act], PROJECT.folder / "requirements" / "tools")
        (stubs := somebody.home / "stubs").mkdir()
        (stubs / "unshare").write_text(REFUSED)
        (stubs / "unshare").chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if REGISTRIES.fullmatch(name)}
        path = os.pathsep.join([str(stubs), "/usr/local/bin", "/usr/bin", "/bin"])
        leftovers.restore()  # the user's own images: the run in the workflow puts them aside too
        yield Runner(somebody, somebody.environment({**kept, "PATH": path, "LANG": "C.UTF-8"}))
        leftovers.put_aside()


def test_the_first_push_of_this_repository_is_green(runner: Runner) -> None:
    runner.passes(runner.project / ".github" / "workflows" / "main.yml", "--matrix=python:3.11")


def test_so_is_that_of_another_one_with_the_workflow_and_with_the_action(runner: Runner, clusterless: Tasks) -> None:
    folder = Path(shutil.copytree(PROJECT.folder / "examples" / "clock", runner.home / "clock"))
    public.use(clusterless.settings, folder)
    (jobs,) = re.findall(r"^    (jobs:\n(?:    .+\n)+)", (PROJECT.folder / "docs" / "ci.md").read_text(), re.MULTILINE)
    given = {"jobs": textwrap.dedent(f"    {jobs}"), "packages": runner.packages, "kubernetes": clusterless.settings.kubernetes}
    (checkout,) = {used for used in runner.actions if used.startswith("actions/checkout@")}
    (workflow := folder / ".github" / "workflows" / "tests.yml").parent.mkdir(parents=True)
    workflow.write_text(OTHERS.format(**given, machine=MACHINE, us=US, checkout=checkout))
    runner.passes(workflow)


def test_so_is_that_of_one_with_what_init_has_written(runner: Runner, clusterless: Tasks) -> None:
    folder = Path(shutil.copytree(APPS / "wsgi", runner.home / clusterless.cluster))
    public.use(clusterless.settings, folder)
    run([sys.executable, "-c", INIT], folder, {"PYTHONPATH": str(PROJECT.folder)})
    workflow = folder / WORKFLOW
    workflow.write_text(re.sub("(?<=pip install ).*", runner.packages, workflow.read_text()))
    runner.passes(workflow, f"--matrix=kubernetes:{clusterless.settings.kubernetes}")

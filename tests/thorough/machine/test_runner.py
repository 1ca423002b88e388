"""The workflows, run by act on a machine like GitHub's runner (tests/support/runner.py).

As there, few variables are set: here, those for registries and proxies. Differences: images are built instead of pulled, a
stand-in for actions/setup-python puts Pythons of the tool cache on PATH, act copies the folder for checkout, and other actions
do nothing. arm64 is tested on this processor: what differs in the workflow is the browser, which GitHub's image lacks there.
"""

import re
import shutil
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
from tests.support import leftovers, public, source
from tests.support.driver import Tasks, run
from tests.support.runner import TOOL_CACHE, Machine, machine, possible
from tests.thorough.package.test_init import APPS
from tests.unit.ci.test_workflows import FILES

SECONDS = 3600  # timeout for one workflow
MACHINE = "ubuntu-24.04"
ARM64 = f"{MACHINE}-arm"
NOTHING = 'runs: { using: composite, steps: [{ run: "true", shell: bash }] }\n'
SETUP_PYTHON = """\
inputs: { python-version: { required: true } }
runs:
  using: composite
  steps:
    - run: for version in $VERSIONS; do echo "/CACHE/$version/x64/bin" >>"$GITHUB_PATH"; done
      shell: bash
      env: { VERSIONS: "${{ inputs.python-version }}" }
""".replace("CACHE", TOOL_CACHE)
STAND_INS = {"actions/setup-python": SETUP_PYTHON}
US = "OWNER/REPOSITORY"  # as in docs/ci.md
INIT = "import sys; sys.argv = ['kubetasks', 'init', '--yes']; from kubetasks.__main__ import main; main()"
WITHOUT_BROWSER = """\
on: push
jobs:
  arm64:
    uses: ./.github/workflows/cluster.yml
    with: {{ python: "3.14", kubernetes: "{kubernetes}", runner: {runner} }}
"""
OTHERS = """\
on: push
{jobs}    with: {{ kubernetes: '["{kubernetes}"]', provider: minikube, python: "3.14", packages: {packages} }}
  action:
    needs: kubernetes
    runs-on: {machine}
    steps:
      - uses: {checkout}
      - uses: {us}/.github/actions/kubetasks@TAG
        with: {{ kubernetes: "{kubernetes}", python: "3.14", packages: {packages} }}
      - run: pytest -n auto
"""

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.timeout(2 * SECONDS),
    pytest.mark.skipif(not possible(), reason="needs root on Debian or Ubuntu"),
]


class Runner:
    """Runs workflows of repositories in the user's home folder; `project` is a copy of this repository."""

    def __init__(self, made: Machine) -> None:
        self.home = made.home
        self._machine = made
        self.actions = {*re.findall(r"uses: (actions/\S+)", "".join(path.read_text() for path in FILES.values()))}
        self.packages = f"--editable {self.home}/project pytest pytest-xdist"  # editable: with the packages that build images
        self.project = source.clone(self.home / "project")
        self.edit_cluster("INVOKE_SETUP_IMAGES: pull", "INVOKE_SETUP_IMAGES: auto")

    def edit_cluster(self, old: str, new: str) -> None:
        """Replace a piece of text in the workflow that creates clusters."""
        cluster = self.project / ".github" / "workflows" / "cluster.yml"
        text = cluster.read_text()
        assert old in text
        cluster.write_text(text.replace(old, new))

    def remove_browser(self) -> None:
        """Make the machine and the workflow those of arm64."""
        (self._machine.root / "usr" / "bin" / "chromium").unlink()
        self.edit_cluster("runner.arch", "'ARM64'")

    def passes(self, workflow: Path, *words: str) -> None:
        """Run the workflow's jobs as if its repository had been pushed, and check that they succeed."""
        folder = workflow.parents[2]
        for command in ("init --initial-branch=main", "add .", "-c user.name=Somebody -c user.email= commit -m all"):
            run(["git", *command.split()], folder)
        argv = [str(self.home / "act"), "push", f"--workflows={workflow}", "--concurrent-jobs=1", "--no-cache-server", *words]
        argv += [f"--platform={name}=-self-hosted" for name in (MACHINE, ARM64)]
        argv += [f"--local-repository={US}@TAG={self.project}", *self._stand_ins()]
        assert self._machine.run(argv, folder, {}, SECONDS) == 0, workflow.read_text()

    def _stand_ins(self) -> Iterator[str]:
        for used in self.actions:
            name = used.partition("@")[0]
            (folder := self.home / name).mkdir(parents=True, exist_ok=True)
            (folder / "action.yml").write_text(STAND_INS.get(name, NOTHING))
            yield f"--local-repository={used}={folder}"


@pytest.fixture
def runner(alone: None, clusterless: Tasks, tmp_path: Path) -> Iterator[Runner]:  # noqa: ARG001
    settings, log = clusterless.settings, tmp_path / "log"
    with machine(settings.cache, log) as made:
        for need in (requirements.KIND, requirements.LOAD_BALANCER, requirements.MINIKUBE):
            file = Path(need.find(None, settings).reference)
            target = made.home / ".cache" / "kubetasks" / file.relative_to(settings.cache)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.exists():
                shutil.copy2(file, target)
        act = ["build", "-o", str(made.home / "act"), "github.com/nektos/act"]
        run([golang.program(settings, Door(Report()), log), *act], PROJECT.folder / "requirements" / "tools")
        like_theirs = "sudo --non-interactive true && ! unshare --map-root-user true && [ $(id -u) != 0 ] && docker version"
        assert made.run(["sh", "-c", like_theirs], made.home, {}, timeout=60) == 0
        leftovers.restore()  # the user's own images: the run in the workflow puts them aside too
        yield Runner(made)
        leftovers.put_aside()


def test_the_first_push_of_this_repository_is_green(runner: Runner) -> None:
    runner.passes(runner.project / ".github" / "workflows" / "main.yml", "--matrix=python:3.15")


def test_so_is_core_on_arm64_where_github_has_no_browser(runner: Runner, clusterless: Tasks) -> None:
    runner.remove_browser()
    workflow = runner.project / ".github" / "workflows" / "arm64.yml"
    workflow.write_text(WITHOUT_BROWSER.format(kubernetes=clusterless.settings.kubernetes, runner=ARM64))
    runner.passes(workflow)


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

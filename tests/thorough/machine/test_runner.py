"""The steps of the workflows, typed by a person like GitHub's runner: not root, in the engine's group, with an empty home.

`unshare` is refused as AppArmor refuses it there, and the environment has what GitHub sets and nothing of ours. Different from
there: Chromium is used if this machine has it, the images are built and not pulled, a copy of the source stands for
actions/checkout, and a virtual environment for actions/setup-python. There is no sudo, and no other action is run.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubetasks.setup import requirements
from tasks import PROJECT
from tests.support import leftovers, person, public, source
from tests.support.driver import Tasks
from tests.support.person import Person
from tests.unit.ci.test_action import BASH, filled
from tests.unit.ci.test_workflows import WORKFLOWS, steps

SECONDS = 1800  # of one step
REFUSED = "#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n"
REGISTRIES = re.compile("(PIP|UV|SSL|CURL|REQUESTS|GIT_SSL)_.*|GO(PROXY|SUMDB|NOSUMDB)|.*_PROXY", re.IGNORECASE)
TIER = "inputs.tier != 'core' && format('--{0}', inputs.tier) || ''"
BROWSER = "runner.arch == 'X64' && '--browser' || ''"

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.timeout(4 * SECONDS),
    pytest.mark.skipif(not person.can_be_made(), reason="needs root, useradd and setpriv"),
]


@dataclass(frozen=True)
class Runner:
    """`temporary` is the folder that GitHub calls RUNNER_TEMP."""

    person: Person
    temporary: Path
    variables: Mapping[str, str]

    def does(self, workflow: str, job: str, folder: Path, values: Mapping[str, str]) -> None:
        """Run the steps of a job, with the values of its expressions, which are the workflow's defaults unless given."""
        written = WORKFLOWS[workflow]
        inputs = (written[True]["workflow_call"] or {}).get("inputs", {})  # YAML 1.1 reads `on` as True
        known = {**{f"inputs.{name}": str(one.get("default", "")) for name, one in inputs.items()}, **values}
        conditions = {f"inputs.provider == '{name}'": name == known.get("inputs.provider") for name in ("kind", "minikube")}
        conditions |= {"": True, "failure() || cancelled()": False, "always()": True}

        def all_filled(variables: Mapping[str, Any]) -> dict[str, str]:
            return {name: filled(str(text), known) for name, text in variables.items()}

        of_job = all_filled(written["jobs"][job].get("env", {}))
        of_job.pop("INVOKE_SETUP_IMAGES", "")  # there is no image registry here
        for step in steps(workflow, job):
            if "run" in step and conditions[step.get("if", "")]:
                environment = {**self.variables, **of_job, **all_filled(step.get("env", {}))}
                argv = [*self.person.words, *BASH, step["run"]]
                ended_with = subprocess.run(argv, cwd=folder, env=environment, timeout=SECONDS, check=False).returncode
                assert ended_with == 0, f"{workflow}.yml, {job}: {step['run']}"


@pytest.fixture
def runner(alone: None, clusterless: Tasks) -> Iterator[Runner]:  # noqa: ARG001
    with person.made() as somebody:
        home = somebody.home
        for need in (requirements.KIND, requirements.LOAD_BALANCER, requirements.MINIKUBE):
            file = Path(need.find(None, clusterless.settings).reference)
            target = home / ".cache" / "kubetasks" / file.relative_to(clusterless.settings.cache)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.exists():
                shutil.copy2(file, target)
        (stubs := home / "stubs").mkdir()
        (stubs / "unshare").write_text(REFUSED)
        (stubs / "unshare").chmod(0o755)
        (temporary := home / "work" / "_temp").mkdir(parents=True)
        somebody.owns(home)
        kept = {name: value for name, value in os.environ.items() if REGISTRIES.fullmatch(name)}
        path = ["/usr/local/bin", "/usr/bin", "/bin"]
        variables = somebody.environment({**kept, "PATH": os.pathsep.join(path), "LANG": "C.UTF-8"})
        python = home / "python"
        subprocess.run([*somebody.words, "python3", "-m", "venv", str(python)], env=variables, cwd=home, check=True)
        github = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(temporary / "summary")}
        variables |= {**github, "RUNNER_TEMP": str(temporary), "RUNNER_OS": "Linux"}
        variables["PATH"] = os.pathsep.join([str(stubs), str(python / "bin"), *path])
        leftovers.restore()  # a person's own images, which the run there puts aside too
        yield Runner(somebody, temporary, variables)
        leftovers.put_aside()


def test_the_jobs_of_this_repository_pass(runner: Runner, clusterless: Tasks) -> None:
    folder = source.clone(runner.person.home / "work" / "project")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    runner.person.owns(folder.parent)
    minor = {"inputs.kubernetes": clusterless.settings.kubernetes, BROWSER: ""}
    runner.does("quick", "lint", folder, {})
    runner.does("quick", "unit", folder, {"matrix.python": "3.11"})
    runner.does("cluster", "cluster", folder, {**minor, "inputs.provider": "minikube", TIER: ""})
    runner.does("cluster", "cluster", folder, {**minor, TIER: "--all"})


def test_the_job_for_other_repositories_passes(runner: Runner, clusterless: Tasks) -> None:
    clone = source.clone(runner.person.home / "project")
    folder = Path(shutil.copytree(PROJECT.folder / "examples" / "clock", runner.person.home / "work" / "clock"))
    public.use(clusterless.settings, folder)
    runner.person.owns(runner.person.home)
    packages = f"--editable {clone} pytest pytest-xdist"  # with what builds the images
    given = {"matrix.kubernetes": clusterless.settings.kubernetes, "inputs.packages": packages}
    for provider in ("kind", "minikube"):
        runner.does("kubernetes", "test", folder, {**given, "inputs.provider": provider})
    assert " passed" in (runner.temporary / "screen").read_text()

"""The action for other repositories: its steps run as on GitHub, with stand-ins for pip and kubetasks."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from kubetasks.project.versions import DEFAULT_KUBERNETES
from tasks import PROJECT

ACTION = yaml.safe_load((PROJECT.folder / ".github" / "actions" / "kubetasks" / "action.yml").read_text())
STAND_IN = """\
#!/bin/sh
echo "${PWD##*/}: ${0##*/} $* ($#) $INVOKE_KUBETASKS_CLUSTER_KUBERNETES $INVOKE_KUBETASKS_CLUSTER_PROVIDER" >>"$CALLS"
"""
BASH = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c")  # how GitHub runs `shell: bash`
HARM = "$(touch harm) ; touch harm"
KUBERNETES, PROVIDER = "INVOKE_KUBETASKS_CLUSTER_KUBERNETES", "INVOKE_KUBETASKS_CLUSTER_PROVIDER"
MINOR, PACKAGES = f"1.34{HARM}", f"kubetasks==1.2 {HARM}"
INPUTS = {"kubernetes": MINOR, "provider": "minikube", "packages": PACKAGES, "working-directory": "shop"}
INPUTS["pytest-args"] = f"-k 'a or b'\nPATH={HARM}"


@pytest.mark.parametrize(
    ("given", "folder", "packages", "words", "chosen", "arguments"),
    [
        ({}, "work", "kubetasks pytest pytest-xdist", 4, (DEFAULT_KUBERNETES, "kind"), []),
        (INPUTS, "shop", PACKAGES, 7, (MINOR, "minikube"), [f"PYTEST_ADDOPTS=-k 'a or b' PATH={HARM}"]),
    ],
    ids=["defaults", "inputs"],
)
def test_inputs_reach_the_commands_as_variables_and_the_next_steps_have_what_was_chosen(
    tmp_path: Path, given: dict[str, str], folder: str, packages: str, words: int, chosen: tuple[str, str], arguments: list[str]
) -> None:
    (work := tmp_path / "work").mkdir()
    (work / "shop").mkdir()
    (programs := tmp_path / "programs").mkdir()
    for name in ("pip", "kubetasks"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    files = {name: str(tmp_path / name) for name in ("CALLS", "GITHUB_ENV")}
    values = {f"inputs.{name}": given.get(name, one["default"]) for name, one in ACTION["inputs"].items()}

    def filled(text: str) -> str:
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda found: values[found[1]], text)

    for step in ACTION["runs"]["steps"]:
        if "uses" in step:
            assert step["if"] == "inputs.python != ''", "without that input, the Python that is there"
            continue
        variables = {name: filled(value) for name, value in step["env"].items()}
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", **files, **variables}
        subprocess.run([*BASH, filled(step["run"])], cwd=work / filled(step["working-directory"]), env=environment, check=True)
    assert Path(files["CALLS"]).read_text().splitlines() == [
        f"{folder}: pip install {packages} ({words}) {' '.join(chosen)}",
        f"{folder}: kubetasks setup (1) {' '.join(chosen)}",
    ]
    exported = [f"{name}={value}" for name, value in zip((KUBERNETES, PROVIDER), chosen, strict=True)]
    assert Path(files["GITHUB_ENV"]).read_text().splitlines() == exported + arguments
    assert [path.name for path in work.rglob("*")] == ["shop"], "no input is a command"

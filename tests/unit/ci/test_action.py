"""The action for other repositories: its steps are run as GitHub runs them, with stand-ins for pip and kubetasks."""

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
echo "${PWD##*/}: ${0##*/} $* ($#) ${INVOKE_KUBETASKS_CLUSTER_KUBERNETES-}" >>"$CALLS"
[ "$*" != --version ] || echo "kubetasks 1.2"
"""
BASH = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c")  # GitHub's for `shell: bash`
HARM = "$(touch harm) ; touch harm"


@pytest.mark.parametrize(
    ("given", "folder", "packages", "words", "kubernetes"),
    [
        ({}, "work", "kubetasks pytest pytest-xdist", 4, DEFAULT_KUBERNETES),
        (
            {"kubernetes": f"1.34{HARM}", "packages": f"kubetasks==1.2 {HARM}", "working-directory": "shop"},
            "shop",
            f"kubetasks==1.2 {HARM}",
            7,
            f"1.34{HARM}",
        ),
    ],
    ids=["defaults", "inputs"],
)
def test_inputs_reach_the_commands_as_variables_and_the_cache_is_for_that_version(
    tmp_path: Path, given: dict[str, str], folder: str, packages: str, words: int, kubernetes: str
) -> None:
    (work := tmp_path / "work").mkdir()
    (work / "shop").mkdir()
    (programs := tmp_path / "programs").mkdir()
    for name in ("pip", "kubetasks"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    files = {name: str(tmp_path / name) for name in ("CALLS", "GITHUB_OUTPUT")}
    values = {f"inputs.{name}": given.get(name, one["default"]) for name, one in ACTION["inputs"].items()}

    def filled(text: str) -> str:
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda found: values[found[1]], text)

    keys = []
    for step in ACTION["runs"]["steps"]:
        if "uses" in step:
            keys.append(filled(step["with"]["key"]))
            continue
        variables = {name: filled(value) for name, value in step["env"].items()}
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", **files, **variables}
        subprocess.run([*BASH, filled(step["run"])], cwd=work / filled(step["working-directory"]), env=environment, check=True)
        name, _, value = Path(files["GITHUB_OUTPUT"]).read_text().strip().partition("=")
        values[f"steps.{step.get('id')}.outputs.{name}"] = value
    assert Path(files["CALLS"]).read_text().splitlines() == [
        f"{folder}: pip install {packages} ({words}) ",
        f"{folder}: kubetasks --version (1) ",
        f"{folder}: kubetasks setup (1) {kubernetes}",
    ]
    assert keys == [f"kubetasks 1.2-{kubernetes}"]
    assert [path.name for path in work.rglob("*")] == ["shop"], "no input is a command"

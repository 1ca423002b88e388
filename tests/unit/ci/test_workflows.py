"""Rules that the workflows of GitHub Actions keep."""

from typing import Any

import yaml

from tasks import PROJECT
from tests.unit.ci.test_action import ACTION, KUBERNETES, PROVIDER

FILES = {path.stem: path for path in (PROJECT.folder / ".github" / "workflows").glob("*.yml")}
WORKFLOWS: dict[str, Any] = {name: yaml.safe_load(path.read_text()) for name, path in FILES.items()}


def test_the_workflow_for_other_repositories_gives_pytest_what_setup_was_given() -> None:
    job = WORKFLOWS["kubernetes"]["jobs"]["test"]
    assert job["env"] == {KUBERNETES: "${{ matrix.kubernetes }}", PROVIDER: "${{ inputs.provider }}"}
    inputs = set(WORKFLOWS["kubernetes"][True]["workflow_call"]["inputs"])
    assert {"provider", "python", "runner", "pytest-args"} <= inputs
    assert set(ACTION["inputs"]) == inputs - {"runner"}, "which a job has, not a step"

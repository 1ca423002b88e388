"""What can be built on which machine."""

import pytest

from hostengine import packages
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Requirement
from nodeimages import here

GO = [requirements.KIND, requirements.LOAD_BALANCER, requirements.REGISTRY]
NODE = [requirements.KIND_NODE_IMAGE]


@pytest.mark.parametrize(
    ("missing", "system", "machine", "root", "why"),
    [
        (NODE, "Linux", "x86_64", True, ""),
        (NODE, "Linux", "x86_64", False, "root on Debian"),
        (NODE, "Linux", "aarch64", True, "this is aarch64"),
        (GO, "Linux", "x86_64", False, ""),
        (GO, "Linux", "aarch64", False, ""),
        (GO, "Darwin", "arm64", False, "this is Darwin"),
    ],
)
def test_programs_are_compiled_on_every_linux_and_images_need_root_and_one_architecture(
    monkeypatch: pytest.MonkeyPatch, missing: list[Requirement], system: str, machine: str, root: bool, why: str
) -> None:
    monkeypatch.setattr(packages, "possible", lambda: root)
    reason = here.unbuildable(missing, system, machine)
    assert (why in reason) if why else (reason == "")

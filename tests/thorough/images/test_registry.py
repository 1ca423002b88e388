"""A cluster's registry: nodes pull changed layers from it, and it may disappear at any time."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from kubetasks.errors import ClusterError
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Artifact
from tests.support import answers, source
from tests.support.driver import Tasks, docker
from tests.support.gate import Gate

PUSH = "POST images/*/*/push"  # a request to the engine's API
THROUGH = "through the registry"
INCOMING = "/var/lib/containerd/io.containerd.content.v1.content/ingest"  # where a node's containerd stores what it receives


def served(tasks: Tasks) -> str:
    return answers.build(tasks.url())


@pytest.mark.promise("`deploy` copies an image")
@pytest.mark.exhaustive
@pytest.mark.long
def test_nodes_get_images_through_a_registry_and_without_it_all_the_same(
    throwaway: Tasks, gate: Gate, tmp_path: Path, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{throwaway.cluster}-registry"
    project = source.changed(tmp_path)
    throwaway.typed("start", HTTP_PROXY="http://192.0.2.1:3128")  # a proxy that does not answer: nothing may use it
    throwaway.typed("build", "deploy", "expose", folder=project)
    builds = {served(throwaway)}

    def after_an_edit() -> str:
        """Deploy an edit, add the build that is then served to `builds`, and return what the tasks print."""
        source.edit(project)
        said = throwaway.typed("build", "deploy", folder=project).stderr
        builds.add(served(throwaway))
        return said

    on_node = ["exec", *throwaway.nodes(), "ctr", "--namespace=k8s.io", "images"]
    with subtests.test("a change comes through the registry, and the pods do not depend on it"):
        assert THROUGH in after_an_edit()
        assert name not in docker(*on_node, "ls", "--quiet")

    with subtests.test("a node that is full is named with a command, and what served goes on serving"):
        before = served(throwaway)
        source.edit(project)
        throwaway.typed("build", folder=project)
        mounted = ["exec", *throwaway.nodes(), "mount", "-t", "tmpfs", "-o", "size=4k", "full", INCOMING]
        docker(*mounted)
        try:
            full = throwaway.typed("deploy", folder=project, code=ClusterError.code).stderr.splitlines()
        finally:
            docker("exec", *throwaway.nodes(), "umount", INCOMING)
        assert "no space left on device" in "\n".join(full)
        assert full[-1].startswith("  docker exec ")
        assert served(throwaway) == before
        assert THROUGH in throwaway.typed("deploy", folder=project).stderr
        builds.add(served(throwaway))

    with subtests.test("if it is lost between push and pull, the image is loaded"):
        gate.open(after=PUSH, then=lambda: docker("kill", name))
        lost = throwaway.typed("build", "deploy", DOCKER_HOST=gate.host).stderr
        assert gate.then is None, "the registry was killed after the push"
        assert re.search(f"{THROUGH}.*: failed.*\n.* cannot pull .*\nLoading simple-server:", lost), lost
    unedited = served(throwaway)
    builds.add(unedited)

    with subtests.test("without an image of a registry the image is loaded"):
        docker("rm", "--force", name)
        docker(*on_node, "rm", f"docker.io/library/simple-server:{unedited}")
        monkeypatch.setattr(requirements, "REGISTRY", SimpleNamespace(find=lambda *_: Artifact("nowhere:1", False)))
        said = throwaway("build", "deploy").stderr
        assert "The registry image is missing" in said
        assert THROUGH not in said
        assert served(throwaway) == unedited
        assert len(builds) == 4

    throwaway("delete")
    assert docker("ps", "--all", "--quiet", f"--filter=name={throwaway.cluster}") == ""

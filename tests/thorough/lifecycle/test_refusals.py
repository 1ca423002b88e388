"""What cannot be done is said in a sentence, with an exit code of its own, and nothing is lost."""

import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.engine import client, content
from kubetasks.errors import ClusterError, FileError, ImageError
from kubetasks.project import settings
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Artifact
from tasks import PROJECT
from tests.support import source
from tests.support.driver import Tasks, docker, run


def test_a_source_that_was_not_built_is_refused_before_a_cluster_is_made(clusterless: Tasks, tmp_path: Path) -> None:
    project = source.changed(tmp_path)
    source.edit_uniquely(project)
    assert clusterless.typed("deploy", folder=project, code=5).stderr.splitlines()[-1] == "  ./inv build"
    assert clusterless.provider().phase() == "missing"


def identity(item: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Which object it is and what it asks for; its status changes by itself."""
    return item["metadata"]["uid"], item["spec"], item["metadata"].get("labels", {})


@pytest.mark.promise("The tasks refuse objects")
@pytest.mark.parametrize("kind", ["deployment", "poddisruptionbudget", "service"])
def test_a_foreign_object_of_our_name_is_refused_and_left_alone(app: Tasks, kind: str) -> None:
    app("build")
    if kind == "deployment":
        app.kubectl("create", "deployment", "simple-server", "--image=theirs:1", "--replicas=0")
        refused = ["deploy", "scale", "expose", "rollback", "undeploy"]
    elif kind == "poddisruptionbudget":
        app.kubectl("create", kind, "simple-server", "--min-available=1", "--selector=theirs=yes")
        refused = ["deploy", "undeploy"]
    else:
        app("deploy")
        app.kubectl("create", "service", "clusterip", "simple-server", "--tcp=80")
        refused = ["expose", "unexpose"]
    theirs = identity(app.get(kind, "simple-server"))
    for task in refused:
        assert "was not created by these tasks" in app(task, code=8).stderr
    assert identity(app.get(kind, "simple-server")) == theirs


NODE = "create --label=io.x-k8s.kind.cluster={name} --name={name}-control-plane"
FOREIGN = {  # what others make with docker, which tasks refuse then, and their words
    "a kind cluster whose network was pruned": (
        ["network create {name}", f"{NODE} --network={{name}} {{image}}", "network rm {name}"],
        ["start", "delete"],
        "nothing says that these tasks created it",
    ),
    "a network": (["network create {name}"], ["start"], "A Docker network {name} exists"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_others_have_under_the_clusters_name_is_neither_used_nor_removed(clusterless: Tasks, what: str) -> None:
    made, refused, words = FOREIGN[what]
    image = requirements.BASE_IMAGE.find(client.connect(), clusterless.settings).reference
    for line in made:
        docker(*line.format(name=clusterless.cluster, image=image).split())

    def there() -> str:
        named = f"--filter=name=^{clusterless.cluster}"
        return docker("ps", "--all", "--no-trunc", "--quiet", named) + docker("network", "ls", "--no-trunc", "--quiet", named)

    before = there()
    assert before
    for line in refused:
        assert words.format(name=clusterless.cluster) in clusterless(*line.split(), code=8).stderr
    if what == "a network":
        clusterless("delete")
    assert there() == before


def test_a_container_of_others_on_the_clusters_network_is_named_and_the_network_goes_once_it_is_gone(throwaway: Tasks) -> None:
    name, settings = throwaway.cluster, throwaway.settings
    labels = [f"--label={key}={value}" for key, value in settings.cluster_labels.items()]
    docker("network", "create", *labels, name)
    settings.state_folder.mkdir(parents=True)
    image = requirements.BASE_IMAGE.find(client.connect(), settings).reference
    docker("run", "--detach", "--rm", "--network", name, "--name", f"{name}-theirs", image, "sleep", "300")
    try:
        told = throwaway("delete", code=10).stderr
        assert f"Docker network {name} is left: {name}-theirs is connected to it" in told
        assert f"docker network disconnect --force {name} {name}-theirs; ./inv delete" in told
        assert not settings.state_folder.exists()
    finally:
        docker("rm", "--force", f"{name}-theirs")
    throwaway("delete")
    assert client.connect().network(name) is None


@pytest.mark.parametrize("options", ["ro", "nr_inodes=1"])
def test_where_nothing_can_be_written_nothing_is_created(clusterless: Tasks, tmp_path: Path, options: str) -> None:
    project = source.changed(tmp_path)
    state = project / ".state"
    state.mkdir()
    # in a mount namespace of its own, because no permission stops root
    unshare = ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",))]
    command = ["sh", "-c", 'mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@"', "sh", options, str(state)]
    argv = [*unshare, *command, sys.executable, "-m", "kubetasks", "start"]
    ended = run(argv, project, clusterless.environment, code=FileError.code)
    assert str(state) in ended.stderr.splitlines()[-2]
    assert clusterless.provider().phase() == "missing"
    assert client.connect().network(clusterless.cluster) is None


KIND = """\
#!/bin/sh
for word; do case $word in *.yaml)
    sed -i 's/^    kind: ClusterConfiguration$/&\\n    kubernetesVersion: v0.0.1/' "$word"
esac; done
exec REAL "$@"
"""


@pytest.fixture
def broken_kind(throwaway: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache whose kind asks kubeadm for a Kubernetes that the nodes do not have."""
    real, cache = Path(requirements.KIND.find(None, throwaway.settings).reference), tmp_path / "kubetasks"
    program = cache / real.relative_to(throwaway.settings.cache)
    program.parent.mkdir(parents=True)
    for folder in throwaway.settings.cache.glob("metallb-*"):
        (cache / folder.name).symlink_to(folder)
    program.write_text(KIND.replace("REAL", str(real)))
    program.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.usefixtures("broken_kind")
def test_a_creation_that_fails_half_way_is_told_and_undone(throwaway: Tasks) -> None:
    told = throwaway("start", code=ClusterError.code).stderr
    assert f"Cluster {throwaway.cluster} could not be created." in told
    (log,) = re.findall(r"full log: (\S+)", told)
    assert "kubeadm" in Path(log).read_text()
    Path(log).unlink()
    assert throwaway.provider().phase() == "missing"
    assert docker("ps", "--all", "--quiet", f"--filter=name={throwaway.cluster}") == "", "nor a registry"
    assert client.connect().network(throwaway.cluster) is None
    assert not throwaway.settings.state_folder.exists()


@pytest.mark.parametrize(
    ("missing", "task", "code", "words"),
    [
        ("KIND", "start", ClusterError.code, "kind is not installed"),
        ("KIND_NODE_IMAGE", "start", ClusterError.code, "is missing: gone:1"),
        ("", "start", ClusterError.code, "the command line of Docker, which is missing"),
        ("BASE_IMAGE", "build", ImageError.code, "gone:1"),
    ],
)
def test_a_program_or_an_image_that_is_missing_is_named_before_anything_is_created(
    clusterless: Tasks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str, task: str, code: int, words: str
) -> None:
    if missing:
        monkeypatch.setattr(requirements, missing, SimpleNamespace(find=lambda *_: Artifact("gone:1", False)))
    if task == "start":
        monkeypatch.setenv("PATH", str(tmp_path))
    told = clusterless(task, code=code).stderr
    assert words in told
    assert "./inv setup" in told or not missing
    assert clusterless.provider().phase() == "missing"


def test_a_build_that_fails_shows_the_end_of_its_output_and_leaves_no_image(tmp_path: Path) -> None:
    connection = client.connect()
    base = requirements.BASE_IMAGE.find(connection, settings.read(PROJECT, settings.DEFAULTS)).reference
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nRUN printf 'it %s work\\n' cannot && exit 7\n")
    context = content.read_context(tmp_path)
    with pytest.raises(ImageError, match="it cannot work"):  # the step's own output, not the command
        connection.build(context, ["test-broken:1"], {}, lambda _line: None)
    assert connection.image_id("test-broken:1") is None

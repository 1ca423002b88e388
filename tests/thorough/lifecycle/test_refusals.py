"""What cannot be done is reported in a sentence, with its own exit code, and nothing is lost."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from kubetasks.engine import client
from kubetasks.errors import ClusterError, FileError, ImageError, OwnershipError
from kubetasks.project.labels import OWNER_LABEL
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Artifact
from tests.support import snapshot, source
from tests.support.driver import Tasks, docker

REFUSED = {
    "deployment": ["deploy", "scale", "expose", "rollback", "undeploy", "clean"],
    "poddisruptionbudget": ["deploy", "undeploy", "clean"],
    "service": ["expose", "unexpose", "clean"],
}


@pytest.mark.promise("The tasks refuse objects")
@pytest.mark.parametrize("kind", REFUSED)
def test_an_object_of_our_name_without_our_label_is_refused_and_nothing_is_changed(app: Tasks, kind: str) -> None:
    app("build", "deploy", "expose")
    app.kubectl("label", kind, "simple-server", f"{OWNER_LABEL}-")
    before = snapshot.settled(lambda: snapshot.objects(app))
    for task in REFUSED[kind]:
        assert "was not created by these tasks" in app(task, code=OwnershipError.code).stderr, task
        assert snapshot.objects(app) == before, task


def test_a_container_of_others_on_the_clusters_network_is_named_and_the_network_goes_once_it_is_gone(throwaway: Tasks) -> None:
    name, settings = throwaway.cluster, throwaway.settings
    labels = [f"--label={key}={value}" for key, value in settings.cluster_labels.items()]
    docker("network", "create", *labels, name)
    settings.state_folder.mkdir(parents=True)
    image = requirements.BASE_IMAGE.find(client.connect(), settings).reference
    docker("run", "--detach", "--rm", "--network", name, "--name", f"{name}-theirs", image, "sleep", "300")
    try:
        told = throwaway("delete", code=10).stderr
        assert f"Docker network {name} is left, with containers that these tasks did not create: {name}-theirs." in told
        assert f"docker network disconnect --force {name} {name}-theirs; ./inv delete" in told
        assert not settings.state_folder.exists()
    finally:
        docker("rm", "--force", f"{name}-theirs")
    throwaway("delete")
    assert client.connect().network(name) is None


def test_where_nothing_can_be_written_nothing_is_created(clusterless: Tasks, tmp_path: Path) -> None:
    state = source.changed(tmp_path) / ".state"
    state.symlink_to("/sys")  # where even root cannot create a folder
    refused = clusterless.typed("start", folder=tmp_path, code=FileError.code)
    assert str(state) in refused.stderr.splitlines()[-2]
    assert clusterless.provider().phase() == "missing"
    assert client.connect().network(clusterless.cluster) is None


def test_a_base_image_or_a_command_line_of_docker_that_is_missing_is_named(
    clusterless: Tasks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(requirements, "BASE_IMAGE", SimpleNamespace(find=lambda *_: Artifact("gone:1", False)))
    told = clusterless("build", code=ImageError.code).stderr
    assert "The base image gone:1 is missing" in told
    assert "./inv setup" in told
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "kind needs the docker CLI, which is not installed" in clusterless("start", code=ClusterError.code).stderr
    assert clusterless.provider().phase() == "missing"

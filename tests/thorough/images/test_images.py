"""The application's and third-party images: another owner's is left alone, and a node keeps only the ones in use."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from docker import from_env

from kubetasks.engine import client
from kubetasks.setup import requirements
from tests.support import answers, source
from tests.support.driver import EMPTY, Tasks, docker
from tests.support.eventually import until
from tests.support.marks import every_provider


@pytest.mark.promise("`docker rmi simple-server:v1 -f`")
def test_a_foreign_image_of_the_tutorials_name_is_left_alone(clusterless: Tasks, tmp_path: Path) -> None:
    tasks, connection = clusterless.renamed(tmp_path), client.connect()
    v1 = f"{tasks.app}:v1"
    docker("import", "-", v1, stdin=EMPTY)  # like the image of a user who did the tutorial by hand
    foreign = connection.image_id(v1)
    assert f"{v1} was not built by these tasks" in tasks("build").stderr
    assert v1 not in tasks("--echo", "build").stdout
    assert connection.image_id(v1) == foreign
    for words in (("build",), ("build", "deploy"), ("rmi",)):
        assert v1 not in tasks("--dry", *words).stdout
    tasks("rmi")
    assert tasks("rmi").stderr.endswith("There was no image.\n")
    assert connection.image_id(v1) == foreign
    assert connection.image_tags(tasks.app) == []


@pytest.fixture
def build_cache() -> Iterator[None]:
    """Remove what the test adds to BuildKit's cache, whose entries carry no label."""
    with closing(from_env().api) as api:

        def cached() -> set[str]:
            return {entry["ID"] for entry in api.df()["BuildCache"] or ()}

        def nothing_was_added() -> bool:
            """Remove what can be removed: an entry goes only after the ones built on it. Return whether no new entry is left."""
            for entry in cached() - before:
                only: Any = {"id": [entry]}
                api.prune_builds(filters=only, all=True)
            return cached() <= before

        before = cached()
        yield
        until(nothing_was_added)


@pytest.mark.usefixtures("build_cache")
def test_a_dockerfile_that_only_buildkit_can_build_is_built_with_it(app: Tasks, tmp_path: Path) -> None:
    project = source.changed(tmp_path)
    source.edit_uniquely(project)
    dockerfile = project / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("\nRUN ", "\nRUN --mount=type=cache,target=/unused ", 1))
    path = f"/usr/bin:{os.environ['PATH']}"  # /usr/bin/docker came with the engine and can use its BuildKit
    built = app.typed("build", "deploy", folder=project, PATH=path).stderr
    assert re.search(r"^Building simple-server:[0-9a-f]{12}: done", built, re.MULTILINE)
    assert "is already built" in app.typed("build", "deploy", "expose", folder=project, PATH=path).stderr
    served = answers.health(app.url())
    assert served
    assert served["build"] in built

    dockerfile.write_text(dockerfile.read_text().replace("/unused ", "/unused echo Nothing works && false ", 1))
    failed = app.typed("build", code=5, folder=project, PATH=path).stderr
    assert "with BuildKit failed:" in failed
    assert "Nothing works" in failed


@pytest.mark.promise("`docker rmi simple-server:v1 -f`", "`kubectl apply -f k8s/` works too")
@every_provider
def test_a_node_keeps_an_image_that_any_pod_uses_and_no_other(app: Tasks, tmp_path: Path) -> None:
    app("build", "deploy", "undeploy")
    theirs = app.json("build")["image"]  # another application's image, which the tasks below are not asked to remove
    tasks = app.renamed(tmp_path)
    tasks("build", "deploy")
    tasks("undeploy")
    tasks.kubectl("apply", f"--filename={tmp_path / 'k8s' / 'deployment.yaml'}")  # by hand: without the owner's label
    tasks.kubectl("rollout", "status", f"deployment/{tasks.app}", "--timeout=60s")
    running = tasks.node_images()[f"docker.io/library/{tasks.app}:v1"]
    tasks("rmi")
    assert running in tasks.node_images().values()
    tasks.kubectl("delete", "pods", f"--selector=app.kubernetes.io/name={tasks.app}", "--now")
    tasks.kubectl("rollout", "status", f"deployment/{tasks.app}", "--timeout=60s")
    tasks.kubectl("delete", "deployment", tasks.app, "--cascade=foreground")
    tasks("build", "rmi")
    after = tasks.node_images()
    assert running not in after.values(), "under no name, a digest's neither"
    assert [name for name in after if tasks.app in name] == []
    assert f"docker.io/library/{theirs}" in after


@pytest.mark.promise("`docker build -t simple-server:v1 .`")
@every_provider
def test_the_tutorials_name_means_the_newest_build_on_the_node_too(app: Tasks, tmp_path: Path) -> None:
    tasks = app.renamed(tmp_path)
    tasks("build", "deploy")
    v1 = f"docker.io/library/{tasks.app}:v1"
    first = tasks.node_images()[v1]
    source.edit(tmp_path)
    newest = tasks.json("build")["image"]
    tasks("deploy")
    known = tasks.node_images()
    assert known[v1] == known[f"docker.io/library/{newest}"] != first


@pytest.fixture
def reference() -> Iterator[str]:
    """An image reference with an organisation and without a registry, as on Docker Hub."""
    name = f"test-{secrets.token_hex(3)}/database:1"
    yield name
    docker("rmi", "--force", name)


def test_one_that_is_rebuilt_under_its_tag_is_loaded_again_and_one_that_is_not_is_left_alone(
    app: Tasks, reference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, provider = client.connect(), app.provider()
    (node,) = app.nodes()

    def supplied() -> str:
        provider.supply([reference])
        return capsys.readouterr().err

    def on_node() -> str:
        return app.node_images()[f"docker.io/{reference}"]

    docker("tag", requirements.REGISTRY.find(engine, app.settings).reference, reference)
    assert supplied().startswith(f"Loading {reference} into cluster {app.cluster}: done")
    assert supplied() == ""
    first = on_node()
    docker("tag", requirements.BASE_IMAGE.find(engine, app.settings).reference, reference)
    told = supplied()
    assert f"{reference} is another image now" in told
    assert on_node() != first
    assert supplied() == ""
    docker("exec", node, "ctr", "--namespace=k8s.io", "images", "rm", f"docker.io/{reference}")

"""The application's images: a stranger's is left alone, a node keeps what is in use and nothing else."""

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from kubetasks.engine import client
from kubetasks.setup.requirements import BASE_IMAGE
from tasks import PROJECT
from tests.support import answers, images, registries, source
from tests.support.driver import Tasks
from tests.support.eventually import SECONDS, eventually
from tests.support.marks import every_provider
from tests.support.run import Run
from tests.support.waiting import until

V1 = "simple-server:v1"
AT_ONCE, TIMES = 4, 40


@pytest.fixture
def foreign(alone: None) -> Iterator[str]:  # noqa: ARG001
    """An image of the tutorial's name that these tasks did not build, as everybody has who did the tutorial by hand."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("theirs"))
    subprocess.run(["docker", "import", "-", V1], input=archive.getvalue(), check=True, capture_output=True)
    found = client.connect().image_id(V1)
    assert found
    yield found
    subprocess.run(["docker", "rmi", found], check=True, capture_output=True)


@pytest.mark.promise("`docker rmi simple-server:v1 -f`")
def test_a_foreign_image_of_the_tutorials_name_is_left_alone(foreign: str, throwaway: Tasks) -> None:
    connection = client.connect()
    assert f"{V1} was not built by these tasks" in throwaway("build").stderr
    assert V1 not in throwaway("--echo", "build").stdout
    assert connection.image_id(V1) == foreign
    for words in (("build",), ("build", "deploy"), ("rmi",)):
        assert V1 not in throwaway("--dry", *words).stdout
    throwaway("rmi")
    assert throwaway("rmi").stderr.endswith("There was no image.\n")
    assert connection.image_id(V1) == foreign
    assert connection.image_tags("simple-server") == []


@pytest.fixture
def build_cache() -> Iterator[None]:
    """Remove what BuildKit has added to its cache, which carries no label."""
    with closing(docker.from_env().api) as api:

        def cached() -> set[str]:
            return {entry["ID"] for entry in api.df()["BuildCache"] or ()}

        def nothing_was_added() -> bool:
            """Remove a part of it: one goes only after those that were made from it."""
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
    path = f"/usr/bin:{os.environ['PATH']}"  # docker there came with the engine, and can use its BuildKit
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


def test_links_that_lead_out_of_the_build_context_are_part_of_it(app: Tasks, tmp_path: Path) -> None:
    project = source.changed(tmp_path)
    for name, target in (("nowhere", "nowhere"), ("python", "/usr/bin/python3"), ("above", "../../x")):
        (project / "simple_server" / name).symlink_to(target)
    first = app.typed("build", folder=project).stderr
    (project / "simple_server" / "above").unlink()
    assert source.build(app.typed("build", folder=project).stderr) != source.build(first)


def node_images(tasks: Tasks) -> dict[str, str]:
    """The digests of all images on the node, by name."""
    (node,) = tasks.nodes()
    listing = subprocess.check_output(["docker", "exec", node, "ctr", "--namespace=k8s.io", "images", "ls"], text=True)
    return {name: digest for name, _type, digest, *_ in map(str.split, listing.splitlines()[1:])}


@eventually(SECONDS)
def nobody_else(app: Tasks) -> None:
    """What other tests have deployed, which may be ending, uses no image of the node any more."""
    label = f"--selector=app.kubernetes.io/name={PROJECT.application.name}"
    assert app.get("deployments,pods", "--all-namespaces", label)["items"] == []


@pytest.mark.promise("`docker rmi simple-server:v1 -f`", "`kubectl apply -f k8s/` works too")
@every_provider
@pytest.mark.usefixtures("alone")  # `rmi` removes what other tests have built
def test_a_node_keeps_an_image_that_any_pod_uses_and_no_other(app: Tasks, tmp_path: Path) -> None:
    project = source.changed(tmp_path)
    source.edit_uniquely(project)  # no digest of it is there from before
    nobody_else(app)
    app("rmi")
    before = set(node_images(app).values())
    app.typed("build", "deploy", folder=project)
    app("undeploy")
    app.kubectl("apply", f"--filename={PROJECT.folder / 'k8s' / 'deployment.yaml'}")  # by hand: without our label
    app.kubectl("rollout", "status", "deployment/simple-server", "--timeout=60s")
    running = node_images(app)[f"docker.io/library/{V1}"]
    app("rmi")
    assert running in node_images(app).values()
    app.kubectl("delete", "pods", "--all", "--now")
    app.kubectl("rollout", "status", "deployment/simple-server", "--timeout=60s")
    app.kubectl("delete", "deployment", "simple-server", "--cascade=foreground")
    app.typed("build", "rmi", folder=project)
    after = node_images(app)
    assert {name: digest for name, digest in after.items() if digest not in before} == {}, "under no name, a digest's neither"
    assert before <= set(after.values())


@pytest.mark.promise("`docker build -t simple-server:v1 .`")
@every_provider
@pytest.mark.usefixtures("alone")  # the name is the engine's: another test's build would take it in between
def test_the_tutorials_name_means_the_newest_build_on_the_node_too(app: Tasks, tmp_path: Path) -> None:
    app("build", "deploy")
    first = node_images(app)[f"docker.io/library/{V1}"]
    newest = app.typed("build", "deploy", folder=source.changed(tmp_path)).stderr
    reference = images.built_image(newest)
    known = node_images(app)
    assert known[f"docker.io/library/{V1}"] == known[f"docker.io/library/{reference}"] != first


def test_an_image_of_several_platforms_that_was_pulled_is_loaded_for_the_nodes_own(
    app: Tasks, this_run: Run, tmp_path: Path
) -> None:
    with registries.serve(this_run, tmp_path) as registry:
        (tmp_path / "image").mkdir()
        name = registries.of_two_platforms(registry, "several", tmp_path / "image")
        subprocess.run(["docker", "pull", name], check=True, capture_output=True)
        try:
            app.provider().supply([name])
            assert name in node_images(app)
        finally:
            subprocess.run(["docker", "rmi", name], check=True, capture_output=True)
            on_node = ["docker", "exec", *app.nodes(), "ctr", "--namespace=k8s.io", "images", "rm", name]
            subprocess.run(on_node, check=True, capture_output=True)


def test_builds_that_end_at_once_all_give_their_image_the_tutorials_name(app: Tasks) -> None:
    name, connection = f"{V1}-at-once", client.connect()
    built = [str(app.json("build")["image"]), BASE_IMAGE.find(connection, app.settings).reference]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda turn: client.connect().tag(built[turn % 2], name), range(TIMES)))
        assert connection.image_id(name) in map(connection.image_id, built)
    finally:
        subprocess.run(["docker", "rmi", name], check=True, capture_output=True)

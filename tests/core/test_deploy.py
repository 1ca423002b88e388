"""`deploy`: the image that was built runs and is never pulled, and a changed source replaces it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import answers, source
from tests.support.driver import Tasks, docker
from tests.support.marks import every_provider

pytestmark = every_provider


@pytest.mark.promise("`docker build -t simple-server:v1 .`")
def test_it_comes_up_and_serves_the_image_that_was_built(app: Tasks, kubectl: Callable[..., str]) -> None:
    built = source.build(app("build").stderr)
    app("deploy", "expose")
    image, policy = "{.items[*].spec.containers[*].image}", "{.items[*].spec.containers[*].imagePullPolicy}"
    image, policy = kubectl("get", "pods", f"--output=jsonpath={image} {policy}").split()  # there is one pod
    assert (image.rpartition("/")[2].partition("@")[0], policy) == (f"simple-server:{built}", app.pull_policy)
    variables = "{{range .Config.Env}}{{println .}}{{end}}"
    inside = docker("image", "inspect", f"--format={variables}", f"simple-server:{built}")
    assert f"BUILD_ID={answers.build(app.url())}" in inside.splitlines(), "what is served is the build id of the image just built"


@pytest.mark.promise(
    "`eval $(minikube docker-env)`",
    "`kubectl create deployment simple-server --image=simple-server:v1`",
    "`deploy` copies an image",
)
def test_its_image_is_never_pulled(app: Tasks) -> None:
    app("build", "deploy")
    (pod,) = app.get("pods")["items"]
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == "Never"
    events = app.get("events", f"--field-selector=involvedObject.uid={pod['metadata']['uid']}")["items"]
    told = {event["reason"]: event["message"] for event in events}
    assert "Pulling" not in told
    assert "already present on machine" in told["Pulled"]
    assert app.get("poddisruptionbudget", "simple-server")["spec"]["maxUnavailable"] == 1, "as in k8s/"


@pytest.mark.promise(
    "`docker build -t simple-server:v1 .`", "Images belong to the Docker engine", "To roll out one change without `dev`"
)
def test_a_changed_source_rolls_out_and_the_old_replica_set_goes_to_zero(app: Tasks, tmp_path: Path) -> None:
    app("build", "deploy", "expose")
    before = answers.build(app.url())

    projects = [source.changed(tmp_path / name) for name in ("one", "same")]
    app.typed("build", "deploy", folder=projects[0])

    after = answers.build(app.url())
    assert after != before
    assert "is already built" in app.typed("build", folder=projects[1]).stderr, "clones share the images"
    sets = app.get("replicasets")["items"]
    images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in sets]
    replicas = {source.build(image): one["spec"]["replicas"] for image, one in zip(images, sets, strict=True)}
    assert replicas == {before: 0, after: 1}

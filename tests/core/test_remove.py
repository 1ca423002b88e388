"""`unexpose` and `undeploy`: everything is as it was before, and objects without the owner's label are untouched."""

from collections.abc import Callable

import pytest

from tests.support import snapshot
from tests.support.driver import Tasks
from tests.support.eventually import eventually
from tests.support.marks import every_provider

THEIRS = """\
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: simple-server, namespace: NAMESPACE}}
  - apiVersion: v1
    kind: Service
    metadata: {name: theirs, namespace: NAMESPACE, labels: {app.kubernetes.io/name: simple-server}}
    spec: {ports: [{port: 80}], selector: {app.kubernetes.io/name: simple-server}}
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: theirs, namespace: NAMESPACE, labels: {app: theirs}}
    spec:
      replicas: 0
      selector: {matchLabels: {app: theirs}}
      template: {metadata: {labels: {app: theirs}}, spec: {containers: [{name: theirs, image: "theirs:1"}]}}
"""


FOLLOWS = ("Endpoints", "EndpointSlice")  # the cluster updates those of `theirs` as the application's pods come and go


@pytest.mark.promise("`kubectl delete deployment simple-server`")
@every_provider
def test_nothing_is_left_and_what_does_not_carry_our_label_is_left_alone(app: Tasks, kubectl: Callable[..., str]) -> None:
    app.kubectl("apply", "--filename=-", stdin=THEIRS.replace("NAMESPACE", app.namespace))
    app.kubectl("rollout", "status", "deployment/theirs", "--timeout=30s")
    before = snapshot.settled(lambda: snapshot.objects(app))
    app("build", "deploy", "expose", "scale")
    assert len(app.pods()) == 3
    app("unexpose", "undeploy")
    assert kubectl("get", "deployments,services", "--output=name").split() == ["deployment.apps/theirs", "service/theirs"]
    as_before(app, before)


@eventually(30)
def as_before(app: Tasks, before: set[tuple[str, ...]]) -> None:
    """Wait until the namespace has the same objects, unchanged; dependents are deleted a moment after their owner."""
    now = snapshot.objects(app)
    assert {one[:3] for one in now} == {one[:3] for one in before}
    assert {one for one in now if one[0] not in FOLLOWS} == {one for one in before if one[0] not in FOLLOWS}

"""The operations of a test on objects in its namespace, in kubectl's terms."""

from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from kubernetes.client import CoreV1Api

from kubetasks import ImageError, Namespace, ProgramError, RolloutError
from kubetasks.kube.client import Object
from tests.support import answers
from tests.support.driver import EMPTY, Tasks, docker
from tests.support.run import Run


def settings(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}


def test_objects_are_applied_waited_for_asked_and_deleted(app: Tasks, tmp_path: Path) -> None:
    app("build", "deploy")
    here, deployment = Namespace(app.as_cluster(), app.namespace), f"deployment/{app.app}"
    here.apply(settings(colour="blue"))
    assert here.get("configmap", "settings")["data"] == {"colour": "blue"}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings(colour="green")))
    here.apply(tmp_path)
    assert here.get("cm/settings")["data"] == {"colour": "green"}
    here.delete("configmap/settings")
    here.wait("configmap/settings", "delete")
    with pytest.raises(ProgramError, match='"settings" not found'):
        here.get("configmap", "settings")

    here.wait(deployment, "Available")
    assert here.exec(deployment, "python3", "-c", "print('said')") == "said\n"
    assert here.logs(deployment)
    assert "ScalingReplicaSet" in {event["reason"] for event in here.events()}
    with here.port_forward(deployment, 8080) as address:
        assert urlopen(f"http://{address}/readyz").status == 200
    assert answers.silent(f"http://{address}/readyz"), "it ends with the block"
    with pytest.raises(RolloutError, match="not found"), here.port_forward("pod/none", 8080):
        pass
    spec = here.get(deployment)["spec"]["template"]["spec"]
    here.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone"}, "spec": spec})
    with here.port_forward("pod/alone", 8080) as address:  # it is Pending at first
        assert address.startswith("127.0.0.1:")
    pods = CoreV1Api(here.cluster.api).list_namespaced_pod(app.namespace).items
    assert {pod.metadata and pod.metadata.name for pod in pods} == app.pods()


def test_what_does_not_come_ends_with_the_diagnosis_of_what_was_waited_for(app: Tasks) -> None:
    here = Namespace(app.as_cluster(), app.namespace)
    here.apply(settings())
    with pytest.raises(RolloutError, match=r"Never was not met within 1 s\n(?s:.*)code +not-deployed"):
        here.wait("configmap/settings", "Never", timeout=1)
    for words in ("deployment", "web"), ("job", "once"):  # the namespace admits none of their pods
        here.kubectl("create", *words, "--image=nowhere.invalid/image:1")
    here.kubectl("patch", "job/once", "--patch", '{"spec": {"activeDeadlineSeconds": 1}}')
    with pytest.raises(RolloutError, match=r"it has failed: .*deadline") as failed:
        here.wait("job/once", "Complete")
    assert "\n  code      failed\n" in str(failed.value)
    with pytest.raises(RolloutError, match=r"Availabel was not met within 1 s; it has .*Available=False") as late:
        here.wait("deployment/web", "Availabel", timeout=1)
    assert "\n  code      pods-refused\n" in str(late.value)
    told = here.cluster.diagnosis(app.namespace)
    assert "  code      pods-refused\n" in told, "though it is not the application's"
    assert "\n  also      job/once failed: " in told
    late_port = pytest.raises(ProgramError, match=r"^kubectl ended with 1: .*timed out waiting")
    with late_port, here.port_forward("deployment/web", 80, 1):
        pass


def test_an_image_that_the_engine_has_is_given_to_the_nodes(app: Tasks, this_run: Run) -> None:
    cluster, name = app.as_cluster(), f"{this_run.unique()}:1"
    docker("import", "-", name, stdin=EMPTY)
    cluster.load_image(name)
    assert f"docker.io/library/{name}" in app.node_images()
    with pytest.raises(ImageError, match="missing:1 is not in this machine's engine"):
        cluster.load_image("missing:1")

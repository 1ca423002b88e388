"""k8s/ may hold objects of any kind: applied at once, waited for together, and removed by their label."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubetasks.project.labels import TOOL
from tests.support.driver import Tasks

RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
NOBODY = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
GROUP = "kinds.example.com"
# records on its claim that it was migrated
STORE = """
import http.server, pathlib
migrated = pathlib.Path('/data/migrated')
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        migrated.touch()
        self.do_GET()
    def do_GET(self):
        self.send_response(200 if migrated.exists() else 503)
        self.end_headers()
http.server.HTTPServer(('', 8000), Handler).serve_forever()
"""
MIGRATE = """
import time, urllib.request
while True:
    try:
        urllib.request.urlopen('http://store:8000/', data=b'', timeout=1)
        break
    except OSError:
        time.sleep(0.2)
"""
WORK = "import threading, urllib.request; urllib.request.urlopen('http://store:8000/', timeout=1); threading.Event().wait()"
WAIT = "import threading; threading.Event().wait()"


def pod(code: str, image: str, **more: Any) -> dict[str, Any]:
    """Return a pod spec that runs Python code."""
    container = {"name": "main", "image": image, "command": ["python3", "-c", code], "securityContext": RESTRICTED}
    container |= more.pop("container", {})
    return {"containers": [container], "securityContext": NOBODY, "terminationGracePeriodSeconds": 0, **more}


def item(version: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def running(name: str, specification: dict[str, Any], **more: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": specification}
    return {"spec": {"selector": {"matchLabels": labels}, "template": template, **more}}


def objects(app: str, namespace: str) -> list[dict[str, Any]]:
    """Return an object of each kind; some need others: the worker crashes until the migration has run."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    mounted = {"volumeMounts": [{"name": "data", "mountPath": "/data"}], "readinessProbe": {"tcpSocket": {"port": 8000}}}
    claims = {"serviceName": "store", "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}]}
    store = {"name": "store", "port": {"number": 8000}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {}}}}}
    served = {"name": "v1", "served": True, "storage": True, "schema": schema}
    group = {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [served]}
    roles = "rbac.authorization.k8s.io"
    bound: dict[str, Any] = {"roleRef": {"apiGroup": roles, "kind": "Role", "name": "reader"}}
    bound["subjects"] = [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}]
    cron = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod("", app, restartPolicy="Never")}}}}
    scaled = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"}, "maxReplicas": 2}
    return [
        item("v1", "ServiceAccount", "reader"),
        item(f"{roles}/v1", "Role", "reader", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]),
        item(f"{roles}/v1", "RoleBinding", "reader", **bound),
        item(f"{roles}/v1", "ClusterRole", namespace, rules=[]),
        item("apps/v1", "Deployment", "worker", **running("worker", pod(WORK, app))),
        item("batch/v1", "Job", "migrate", spec={"template": {"spec": pod(MIGRATE, app, restartPolicy="Never")}}),
        item("apps/v1", "StatefulSet", "store", **running("store", pod(STORE, app, container=mounted), **claims)),
        item("v1", "Service", "store", spec={"selector": {"app": "store"}, "ports": [{"port": 8000}]}),
        item("apps/v1", "DaemonSet", "agent", **running("agent", pod(WAIT, app, serviceAccountName="reader"))),
        item("batch/v1", "CronJob", "report", spec=cron),
        item("networking.k8s.io/v1", "Ingress", "store", spec={"defaultBackend": {"service": store}}),
        item("networking.k8s.io/v1", "NetworkPolicy", "all", spec={"podSelector": {}, "ingress": [{}], "egress": [{}]}),
        item("autoscaling/v2", "HorizontalPodAutoscaler", "worker", spec=scaled),
        item(f"{GROUP}/v1", "Widget", "one", spec={}),
        item("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"widgets.{GROUP}", spec=group),
        item("v1", "Pod", "once", spec=pod("print('said once')", app, restartPolicy="Never", serviceAccountName="reader")),
    ]


@pytest.fixture
def shop(app: Tasks, tmp_path: Path) -> Tasks:
    """An application with an object of each kind."""
    tasks = app.renamed(tmp_path / "source")
    (tasks.folder / "k8s" / "all.yaml").write_text(yaml.safe_dump_all(objects(tasks.app, app.namespace)))
    return tasks


def kinds(tasks: Tasks) -> set[str]:
    """Return the kinds of the objects with the owner's label, and of the cluster-scoped ones, found by name."""
    asked = "all,serviceaccounts,roles,rolebindings,ingresses,networkpolicies,horizontalpodautoscalers,persistentvolumeclaims"
    found = tasks.get(asked, "--selector", f"app.kubernetes.io/managed-by={TOOL.name}")["items"]
    wide = tasks.get("customresourcedefinitions,clusterroles")["items"]
    names = f"widgets.{GROUP}", tasks.namespace
    return {one["kind"] for one in found} | {one["kind"] for one in wide if one["metadata"]["name"] in names}


def test_objects_of_every_kind_are_waited_for_together_and_removed_again_but_for_a_claim(shop: Tasks) -> None:
    shop("build")
    deployed = shop("deploy")
    assert "Rolling out" in deployed.stderr
    (worker,) = shop.get("pods", "--selector", "app=worker")["items"]
    (status,) = worker["status"]["containerStatuses"]
    assert status["ready"]
    assert status["restartCount"] > 0, "it crashed until the migration had run"
    assert shop.get("pod", "once")["status"]["phase"] == "Succeeded"
    assert shop.get("widgets", "one")["metadata"]["labels"]
    workloads = {"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Pod", "HorizontalPodAutoscaler"}
    network, data = {"Service", "Ingress", "NetworkPolicy"}, {"PersistentVolumeClaim"}
    others = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "CustomResourceDefinition"}
    assert kinds(shop) == workloads | network | data | others

    before = {one["metadata"]["name"]: one["metadata"]["uid"] for one in shop.get("jobs,pods")["items"]}
    shop("deploy")
    after = {one["metadata"]["name"]: one["metadata"]["uid"] for one in shop.get("jobs,pods")["items"]}
    assert after == before, "what has ended well is not run again"

    removed = shop("undeploy")
    assert "Kept with its data: persistentvolumeclaim/data-store-0" in removed.stderr
    assert kinds(shop) == {"PersistentVolumeClaim"}
    shop("undeploy", "--volumes")
    assert kinds(shop) == set()


def test_what_the_api_server_does_not_take_is_refused_with_the_files_name_before_anything_is_changed(
    app: Tasks, tmp_path: Path
) -> None:
    tasks = app.renamed(tmp_path / "source")
    tasks("build")
    file = tasks.folder / "k8s" / "more.yaml"
    for wrong, words in (
        (item("networking.k8s.io/v1", "Ingres", "shop"), "The API server serves no Ingres of networking.k8s.io/v1."),
        (item("networking.k8s.io/v2", "Ingress", "shop"), "The API server serves no Ingress of networking.k8s.io/v2."),
        (item("networking.k8s.io/v1", "Ingress", "shop", spec={"rule": []}), ".spec.rule: field not declared in schema"),
        (item("networking.k8s.io/v1", "Ingress", "shop", spec={}), "spec: Invalid value"),
    ):
        file.write_text(yaml.safe_dump(wrong))
        refused = tasks("deploy", code=2)
        assert f"{file}: " in refused.stderr
        assert words in refused.stderr
        assert app.get("deployments")["items"] == []

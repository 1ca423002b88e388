"""Generate manifests for an application that has none, from its name, port and health path."""

from kubetasks.kube.client import Object
from kubetasks.project.application import Application

USER = 65532  # nonroot in distroless images: restricted pods must not run as root
DRAIN_SECONDS = 4  # nodes may go on sending new connections for up to 1.6 s


def deployment(app: Application) -> Object:
    """Return a deployment with restricted pods that loses no request during a rollout."""
    labels = {"app.kubernetes.io/name": app.name}
    container = {
        "name": app.name,
        "image": app.source.tag,
        "ports": [{"name": "http", "containerPort": app.port}],
        "env": [
            {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for name, path in (("POD_NAME", "metadata.name"), ("NODE_NAME", "spec.nodeName"))
        ],
        "readinessProbe": {"httpGet": {"path": app.health, "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 2},
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    spec = {
        "strategy": {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 0}},
        "selector": {"matchLabels": {**labels}},  # copies: YAML would write a shared mapping as an alias
        "template": {"metadata": {"labels": {**labels}}, "spec": pod},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app.name, "labels": labels}, "spec": spec}


def service(app: Application) -> Object:
    """Return a LoadBalancer service for these pods."""
    labels = {"app.kubernetes.io/name": app.name}
    ports = [{"name": "http", "port": app.port, "targetPort": "http"}]
    spec = {"type": "LoadBalancer", "selector": {**labels}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": app.name, "labels": labels}, "spec": spec}

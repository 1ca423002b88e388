"""Faults: changes to the deployment with which its rollout cannot succeed."""

from typing import Any

FAULTS: dict[str, tuple[dict[str, Any], str]] = {  # code: (change to the container, words that must be printed)
    "image-never-pull": ({"image": "simple-server:missing"}, "simple-server:missing"),
    "invalid-image-name": ({"image": "Simple-Server:v1"}, "Simple-Server:v1"),
    "image-pull": ({"image": "registry.invalid/simple-server:v1", "imagePullPolicy": "Always"}, "registry.invalid"),
    "container-config": (
        {"env": [{"name": "GONE", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "a"}}}]},
        'configmap "gone" not found',
    ),
    "volume-mount": ({"volumeMounts": [{"name": "gone", "mountPath": "/gone"}]}, 'configmap "gone" not found'),
    "container-start": ({"command": ["/no/such/program"]}, "/no/such/program"),
    "crash-loop": ({"args": ["--no-such-option"]}, "--no-such-option"),
    "not-ready": ({"readinessProbe": {"httpGet": {"path": "/nowhere"}, "failureThreshold": 600}}, "statuscode: 404"),
    "unschedulable": ({"resources": {"requests": {"cpu": "1000"}}}, "Insufficient cpu"),
    "quota": ({"env": [{"name": "CHANGED", "value": "1"}]}, "exceeded quota"),
    "pods-refused": ({"securityContext": {"privileged": True, "allowPrivilegeEscalation": True}}, "violates PodSecurity"),
}

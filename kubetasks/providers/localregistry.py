"""How a cluster announces its registry to developers' tools, such as Tilt.

The form: https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry
"""

from kubetasks.kube import manifests
from kubetasks.kube.client import Object
from kubetasks.project.labels import Owner

TEXT = """\
host: "{outside}"
hostFromClusterNetwork: "{inside}"
hostFromContainerRuntime: "{inside}"
help: "https://kind.sigs.k8s.io/docs/user/local-registry/"
"""


def config_map(outside: str, inside: str, owner: Owner) -> Object:
    """The announcement: the registry's addresses (host:port) for this machine, and for nodes and pods."""
    return manifests.owned(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "local-registry-hosting", "namespace": "kube-public"},
            "data": {"localRegistryHosting.v1": TEXT.format(outside=outside, inside=inside)},
        },
        owner,
    )

"""MetalLB, for clusters without a load balancer: services get an address from the nodes' network.

MetalLB's settings: https://metallb.io/configuration/
"""

import ipaddress
import json
import sys
from pathlib import Path

from kubetasks.kube import manifests, objects
from kubetasks.kube.client import VERSIONS, Kube, Object
from kubetasks.project.labels import Owner

NAMESPACE = "metallb-system"
POOL = "nodes-network"
POOL_SIZE = 32
ADDED_ARGUMENTS = {
    "controller": "--webhook-mode=disabled",
    # kubeadm's label excludes the control plane from external load balancers; here it is a node like the others
    "speaker": "--ignore-exclude-lb",
}


def pool(subnet: str) -> str:
    """Return the pool at the end of the subnet, as in 172.18.255.223-172.18.255.254: Docker assigns addresses from the start."""
    network = ipaddress.ip_network(subnet)
    size = min(POOL_SIZE, network.num_addresses // 4)
    last = int(network.broadcast_address) - 1
    return f"{ipaddress.ip_address(last - size + 1)}-{ipaddress.ip_address(last)}"


def installation(released: list[Object], owner: Owner) -> list[Object]:
    """Return the objects of MetalLB's manifest with the owner's label, without webhooks, and with probes that start at once.

    The webhooks would only validate the settings below, and creating their certificates takes ten seconds.
    """
    wanted = []
    for item in released:
        if item["kind"] == "ValidatingWebhookConfiguration":
            continue
        item = manifests.owned(item, owner)
        if item["kind"] == "CustomResourceDefinition":
            item["spec"].pop("conversion", None)
        if item["kind"] in ("Deployment", "DaemonSet"):
            for container in item["spec"]["template"]["spec"]["containers"]:
                container["readinessProbe"] |= {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 60}
                container["args"] = [*container["args"], ADDED_ARGUMENTS[container["name"]]]
        wanted.append(item)
    return wanted


def settings(subnet: str, owner: Owner) -> list[Object]:
    """Return the address pool, and the advertisement that announces it on the nodes' network."""
    specs = {"IPAddressPool": {"addresses": [pool(subnet)]}, "L2Advertisement": {"ipAddressPools": [POOL]}}
    metadata = {"name": POOL, "namespace": NAMESPACE}
    items = [{"apiVersion": VERSIONS[kind], "kind": kind, "metadata": metadata, "spec": spec} for kind, spec in specs.items()]
    return [manifests.owned(item, owner) for item in items]


def installed(kube: Kube, subnet: str) -> bool:
    """Whether MetalLB is installed, with the address pool of `subnet`: its settings are applied last.

    Raises ApiError with status 404 while an API server that has just started does not serve MetalLB's kinds yet.
    """
    defined = kube.get("CustomResourceDefinition", "l2advertisements.metallb.io")
    existing = defined and kube.get("L2Advertisement", POOL, NAMESPACE) and kube.get("IPAddressPool", POOL, NAMESPACE)
    return existing is not None and existing["spec"]["addresses"] == [pool(subnet)]


def install(kube: Kube, manifest: Path) -> None:
    """Apply MetalLB's objects. Its pods start in the background, and `expose` waits for the address."""
    for item in installation(manifests.read(manifest), kube.owner):
        objects.apply(kube, item)


def configure(kube: Kube, subnet: str) -> None:
    """Apply MetalLB's settings. Raises ApiError with status 404 while the API server does not serve their kinds yet."""
    for item in settings(subnet, kube.owner):
        objects.apply(kube, item)


if __name__ == "__main__":  # the equivalent commands get the settings this way
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": settings(sys.argv[1], Owner(sys.argv[2]))}))

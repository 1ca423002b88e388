"""minikube's command-line arguments that create or start a cluster."""

from dataclasses import dataclass

from kubetasks.providers.own import CONTROLLERS_RATE

PROFILE_LABEL = "name.minikube.sigs.k8s.io"  # minikube's own label, on everything that belongs to a profile
# a node image built here has everything that minikube would download, and a single network plugin
BUILT = ("--preload=false", "--cache-images=false")
BUILT_NETWORK = "--cni=bridge"
WAIT_SECONDS = 360
# otherwise it refuses root, and a release newer than its list if GitHub's API lacks it or fails (60 requests an hour)
FORCED = "--force"
CONTROLLERS = tuple(f"--extra-config=controller-manager.kube-api-{limit}={CONTROLLERS_RATE}" for limit in ("qps", "burst"))


@dataclass(frozen=True)
class Config:
    """A cluster to create: `image` is the node image, `built` whether it was built here, `kubernetes` a release (v1.36.3).

    `runtime` is the node's container runtime: containerd or docker.

    minikube waits `timeout` seconds, but at least its default: on a slow machine it must not give up before the tasks do.
    """

    name: str
    image: str
    built: bool
    kubernetes: str
    runtime: str
    timeout: float

    @property
    def create(self) -> list[str]:
        chosen = [f"--kubernetes-version={self.kubernetes}", f"--base-image={self.image}"]
        network = [BUILT_NETWORK] if self.built else []
        return [*self.start, "--driver=docker", f"--container-runtime={self.runtime}", *chosen, *network, *CONTROLLERS]

    @property
    def start(self) -> list[str]:
        """The arguments that start an existing cluster: minikube keeps the settings that it was created with."""
        wait = f"--wait-timeout={max(WAIT_SECONDS, self.timeout):.0f}s"
        return ["start", "--profile", self.name, wait, *(BUILT if self.built else ()), FORCED]


def pulled_release(node_image: str) -> str:
    """Return the Kubernetes release in the tag of a kind node image: v1.36.4 for kindest/node:v1.36.4@sha256:..."""
    return node_image.partition(":")[2].partition("@")[0]

"""How minikube is asked for a cluster: the words of its command line."""

from dataclasses import dataclass

from kubetasks.providers.own import CONTROLLERS_RATE

PROFILE_LABEL = "name.minikube.sigs.k8s.io"  # minikube's own, on all that belongs to a profile
# a built image holds all that minikube would download, and one network plugin
BUILT = ("--preload=false", "--cache-images=false")
BUILT_NETWORK = "--cni=bridge"
WAIT_SECONDS = 360
# else it refuses root, and a release newer than its own list if GitHub's API does not know it, or refuses: 60 requests an hour
FORCED = "--force"
CONTROLLERS = tuple(f"--extra-config=controller-manager.kube-api-{limit}={CONTROLLERS_RATE}" for limit in ("qps", "burst"))


@dataclass(frozen=True)
class Config:
    """A cluster to create: `image` is that of its node, `built` here or pulled; `kubernetes` a release such as v1.36.3.

    `runtime` runs the node's containers: containerd or docker.

    minikube waits `timeout` seconds, at least as long as by itself: on a slow machine it must not give up first.
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
        """The words for a cluster that is there: minikube keeps what it was created with."""
        wait = f"--wait-timeout={max(WAIT_SECONDS, self.timeout):.0f}s"
        return ["start", "--profile", self.name, wait, *(BUILT if self.built else ()), FORCED]


def pulled_release(node_image: str) -> str:
    """The Kubernetes release in the name of one of kind's images, as in kindest/node:v1.36.4@sha256:..."""
    return node_image.partition(":")[2].partition("@")[0]

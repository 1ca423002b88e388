"""Every version that the package pins, once. Plain data.

Digests and checksums were read from the projects' own release pages and registries in November 2026.
"""

from dataclasses import dataclass

KIND = "v0.33.0"
KIND_SHA256 = {  # of the program, by platform, as published with the release
    "linux-amd64": "aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d",
    "linux-arm64": "20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2",
    "darwin-amd64": "5a99f26f57246dc9319dd294803313197a0f34d33c525b3ea8b655db5916ece0",
    "darwin-arm64": "0c8c7dbe5e23594a198b786c4bc13dacc101fa6196b0cb0b23a1ca44e61f4b4f",
}

MINIKUBE = "v1.38.1"
MINIKUBE_SHA256 = {  # from deploy/minikube/releases-v2.json in its repository
    "linux-amd64": "099477eaf248bcb5bcea8ce78a2898e93ac01461c35189da1848c3de82ecd22e",
    "linux-arm64": "a0b8a1ebfc8c07a247271d8df98ac0ddd7c8c855b601d402463e2e50c08c6bab",
    "darwin-amd64": "db11dffba835609988e4e98c3a91a38653ce66ddfa8ea3aaea92d87c54a0a348",
    "darwin-arm64": "f9b0c70bb7daf38c683c0b6e46dc1b612600247ae826bf74576807746a919ee8",
}
# the node image of that release, and an image that it runs on the nodes
KICBASE = "gcr.io/k8s-minikube/kicbase:v0.0.50@sha256:eb4fec00e8ad70adf8e6436f195cc429825ffb85f95afcdb5d8d9deb576f3e93"
STORAGE_PROVISIONER = "gcr.io/k8s-minikube/storage-provisioner:v5"


@dataclass(frozen=True)
class Kubernetes:
    """A Kubernetes minor version: kind's node image to pull, and the release to build if no image registry is reachable.

    The patch releases differ, because kind publishes some of them and the Go module proxy others.
    """

    minor: str
    pulled: str
    built: str


KUBERNETES = {
    minor: Kubernetes(minor, f"kindest/node:{pulled}", built)
    for minor, pulled, built in (
        ("1.34", "v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d", "1.34.4"),
        ("1.35", "v1.35.8@sha256:07b2536e30b803ed61d1677a79df6115f798ce64c80f9e22f6ed45afd09323c0", "1.35.4"),
        ("1.36", "v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed", "1.36.3"),
        ("1.37", "v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5", "1.37.2"),
    )
}
DEFAULT_KUBERNETES = "1.36"

# the application's base image
PYTHON_IMAGE = "python:3.14-slim@sha256:a2b82f3c48559aa0a8446d9af49826b6e2b2016f4cd2afabfe6013ec53729170"
# the release for built nodes and for the image built instead of PYTHON_IMAGE; systemd of later ones rejects cgroup v1
DEBIAN = "bookworm"

METALLB = "v0.16.1"
METALLB_MANIFEST_SHA256 = "bf25feebb7582ca7df845efd52ffbc2960d6cbf4cfc972f47fded9f788b67f0b"

REGISTRY = "registry:3.1.2@sha256:ddf754342cfc8acc51a56d5d0ab6af06826461864460636d8bd5c546dab2a7b8"  # by the Distribution project

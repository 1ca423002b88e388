"""The docker, kind, minikube and kubectl commands that --echo and --dry print, in the order of the tutorial.

Pure functions of the values that the actions use: the same names, flags and files go into the line and into the action. A line
that one action alone prints, with nothing to decide, is written there.
"""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubetasks.project.application import Application
from kubetasks.project.labels import Owner
from kubetasks.terminal import shell


def environment(folders: Sequence[str], variables: Mapping[str, str]) -> str:
    """The line that makes pasted commands use our programs and our cluster."""
    path = [f'PATH={shlex.quote(":".join(folders))}:"$PATH"'] if folders else []
    return " ".join(["export", *path, *(f"{name}={shlex.quote(value)}" for name, value in variables.items())])


def kubectl(flags: Sequence[str], *words: str) -> str:
    """`flags` choose the cluster and the namespace."""
    return shell.line(["kubectl", *flags, *words])


# start: minikube start


def create_network(name: str, labels: Mapping[str, str], options: Mapping[str, str]) -> str:
    return shell.line(["docker", "network", "create", *_pairs("--label", labels), *_pairs("--opt", options), name])


def _pairs(flag: str, values: Mapping[str, str]) -> list[str]:
    """The words that give each of the values: FLAG KEY=VALUE."""
    return [word for key, value in values.items() for word in (flag, f"{key}={value}")]


def serve(name: str, image: str, network: str, ports: tuple[int, int], labels: Mapping[str, str], env: Mapping[str, str]) -> str:
    """Start a container in the background. `ports` are (port of 127.0.0.1, port in the container)."""
    where = ["--name", name, "--network", network, "--publish", f"127.0.0.1:{ports[0]}:{ports[1]}"]
    return shell.line(["docker", "run", "--detach", *where, *_pairs("--label", labels), *_pairs("--env", env), image])


def create_volume(name: str, labels: Mapping[str, str]) -> str:
    return shell.line(["docker", "volume", "create", *_pairs("--label", labels), name])


def minikube(words: Sequence[str]) -> str:
    return shell.line(["minikube", *words])


def create_cluster(words: Sequence[str], environment: Mapping[str, str], configuration: str) -> str:
    """The words follow the name of kind, which reads its configuration from standard input."""
    return f"{shell.line(['kind', *words], environment)} <<'EOF'\n{configuration}EOF"


def wait_for_nodes() -> str:
    return kubectl((), "wait", "--for=condition=Ready", "nodes", "--all")


def load_balancer(owner: Owner, manifest: str, network: str) -> tuple[str, ...]:
    """Install MetalLB. Its address pool depends on the network, which may not be there yet: the shell asks for it."""
    subnet = shell.line(["docker", "network", "inspect", network, "--format", "{{(index .IPAM.Config 0).Subnet}}"])
    settings = shlex.join([sys.executable, "-m", "kubetasks.providers.metallb"])
    apply = f"kubectl apply --server-side --field-manager={owner.name}"
    return (
        f"{apply} -f {shlex.quote(manifest)}",
        f"kubectl label --overwrite -f {shlex.quote(manifest)} {owner.selector}",
        "kubectl delete validatingwebhookconfiguration metallb-webhook-configuration",
        "kubectl label nodes --all node.kubernetes.io/exclude-from-external-load-balancers-",
        f"{settings} $({subnet}) {owner.name} | {apply} -f -",
    )


def port_of(container: str, port: int) -> str:
    """What the shell replaces by the address at which this machine reaches a container's port."""
    return f"$(docker port {container} {port})"


def mark_cluster(nodes: Sequence[str], file: str) -> str:
    """Write the file that says of each node that its creation was not interrupted."""
    return "\n".join(run_in(node, ["touch", file]) for node in nodes)


def run_in(node: str, argv: Sequence[str]) -> str:
    return shell.line(["docker", "exec", node, *argv])


# build: docker build -t simple-server:v1 .


def build(app: Application, names: Sequence[str], arguments: Mapping[str, str]) -> str:
    tags = [word for name in names for word in ("--tag", name)]
    words = [*tags, *_pairs("--build-arg", arguments), *_pairs("--label", app.owner.labels)]
    where = ["--file", str(app.dockerfile), str(app.source)] if app.dockerfile else ["."]
    return shell.line(["docker", "build", *words, *where])


def load_words(cluster: str, file: str) -> list[str]:
    """The words after the program's name."""
    return ["load", "image-archive", "--name", cluster, file]


def load_file(names: Sequence[str], platform: str, file: str, *load: str) -> tuple[str, ...]:
    """Save the image to a file, of that platform if one is given, and load it with the lines `load`."""
    chosen = ["--platform", platform] if platform else []
    return shell.line(["docker", "save", *chosen, "--output", file, *names]), *load, shell.line(["rm", file])


def push(reference: str, name: str) -> tuple[str, ...]:
    """Push an image to the registry in `name`."""
    return shell.line(["docker", "tag", reference, name]), shell.line(["docker", "push", name])


def push_to_own(reference: str, registry: str, port: int) -> tuple[str, ...]:
    """Push an image to the registry in the container of that name."""
    pushed = f'"{port_of(registry, port)}/{reference}"'
    return f"docker tag {reference} {pushed}", f"docker push {pushed}", f"docker rmi {pushed}"


# deploy: kubectl create deployment simple-server --image=simple-server:v1


def apply(
    app: Application,
    flags: Sequence[str],
    manifest: Path | None,
    *edits: Mapping[str, object],
    images: Mapping[str, str] = {},
    made: str = "",
) -> str:
    """Apply a manifest as ours, with these images by container, and after the edits, operations of a JSON patch. `made` is the
    manifest's text if there is no file of its own.
    """
    file = "-" if manifest is None else str(manifest)
    if manifest and not app.dockerfile and manifest.is_relative_to(app.source):  # which is the project's folder
        file = str(manifest.relative_to(app.source))
    chosen = shlex.join(f"{name}={image}" for name, image in images.items())
    line = " | ".join(
        (
            f"kubectl label --local -f {shlex.quote(file)} {app.owner.selector} -o yaml" + (" <<'EOF'" if made else ""),
            *([f"kubectl set image --local -f - {chosen} -o yaml"] if images else []),
            *([f"kubectl patch --local -f - --type=json -o yaml -p {shlex.quote(json.dumps(edits))}"] if edits else []),
            f"{kubectl(flags)} apply --server-side --force-conflicts --field-manager={app.owner.name} -f -",
        )
    )
    return f"{line}\n{made}EOF" if made else line


def rollout_status(flags: Sequence[str], name: str) -> str:
    return kubectl(flags, "rollout", "status", f"deployment/{name}")


def delete(flags: Sequence[str], kind: str, name: str) -> str:
    return kubectl(flags, "delete", kind, name, "--ignore-not-found")


def status(flags: Sequence[str]) -> str:
    return kubectl(flags, "get", "deployments,pods,services")


def rollback(app: Application, flags: Sequence[str], revision: int | None = None) -> tuple[str, ...]:
    """Without a revision, the one before."""
    to = [f"--to-revision={revision}"] if revision else []
    return kubectl(flags, "rollout", "undo", f"deployment/{app.name}", *to), rollout_status(flags, app.name)


# expose: kubectl expose deployment simple-server --type=LoadBalancer


def scale(app: Application, flags: Sequence[str], replicas: int) -> tuple[str, ...]:
    return kubectl(flags, "scale", f"deployments/{app.name}", f"--replicas={replicas}"), rollout_status(flags, app.name)


def traffic(app: Application, requests: int) -> str:
    return f"for i in $(seq {requests}); do curl --silent $(./inv service){app.traffic[1:]}; done"


# clean


def remove_images(references: Sequence[str]) -> str:
    return shell.line(["docker", "rmi", "--force", *references])


def delete_words(name: str, kubeconfig: str) -> list[str]:
    """The words after the program's name."""
    return ["delete", "cluster", "--name", name, "--kubeconfig", kubeconfig]


def delete_cluster(name: str, kubeconfig: str, others: Sequence[str]) -> tuple[str, ...]:
    """`others` are the names of containers on its network that kind does not know."""
    return (
        shell.line(["kind", *delete_words(name, kubeconfig)]),
        *([shell.line(["docker", "rm", "--force", "--volumes", *others])] if others else []),
        shell.line(["docker", "network", "rm", name]),
    )

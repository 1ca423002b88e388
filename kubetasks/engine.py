"""The container engine, through Docker's SDK. Everything of ours in it carries our label."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubetasks.errors import EngineError, ImageError
from kubetasks.settings import CLUSTER_LABEL, OWNER, OWNER_LABEL

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container as Container

LABELS = {OWNER_LABEL: OWNER}
ANSWER_SECONDS = 10
LONG_SECONDS = 1800


def connect(timeout: int = LONG_SECONDS) -> "Engine":
    """The engine that DOCKER_HOST names, else the local one. Raises EngineError where none answers or none may be used."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=timeout)
        client.ping()
    except DockerException as error:
        if "Permission denied" in str(error) or "PermissionError" in str(error):
            raise EngineError(
                "You may not use the container engine's socket.",
                "Join its group and log in again: sudo usermod -aG docker $USER",
            ) from error
        raise EngineError("No container engine answers.", "./inv setup brings one; DOCKER_HOST names one elsewhere") from error
    return Engine(client)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Docker's errors in one sentence."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        raise EngineError(f"{what} failed: {error.explanation or error}") from error
    except (DockerException, RequestException) as error:
        raise EngineError(f"{what} failed: {error}") from error


class Engine:
    """What we ask of the engine. Methods raise EngineError; a missing thing is None or False."""

    def __init__(self, client: "docker.DockerClient") -> None:
        self._client = client

    def version(self) -> str:
        """The engine's release, as in 28.0.4."""
        with _told("Asking the engine for its version"):
            return str(self._client.version()["Version"])

    # images

    def image_id(self, reference: str) -> str | None:
        """sha256:... of an image, or None."""
        from docker.errors import ImageNotFound

        with _told(f"Looking for image {reference}"):
            try:
                return str(self._client.images.get(reference).id)
            except ImageNotFound:
                return None

    def image_tags(self, repository: str) -> list[str]:
        """The references of our own images of that name."""
        with _told("Listing images"):
            images = self._client.images.list(name=repository, filters={"label": f"{OWNER_LABEL}={OWNER}"})
            return sorted(
                tag
                for image in images
                for tag in image.tags
                if tag.removeprefix("docker.io/library/").split(":")[0] == repository
            )

    def pull(self, reference: str, on_line: Callable[[str], None]) -> None:
        """Fetch an image by digest or tag."""
        with _told(f"Pulling {reference}"):
            for event in self._client.api.pull(reference, stream=True, decode=True):
                if "error" in event:
                    raise EngineError(f"Pulling {reference} failed: {event['error']}", "Try again: ./inv setup")
                on_line(f"{event.get('status', '')} {event.get('progress', '')}".strip())

    def tag(self, reference: str, name: str) -> None:
        repository, _, tag = name.rpartition(":")
        with _told(f"Tagging {reference}"):
            self._client.images.get(reference).tag(repository, tag)

    def remove_image(self, reference: str) -> bool:
        """Take a name away, and the image with its last name. False where there is none."""
        from docker.errors import ImageNotFound

        with _told(f"Removing image {reference}"):
            try:
                self._client.images.remove(reference, force=True)
            except ImageNotFound:
                return False
            return True

    def remove_dangling(self) -> None:
        """Take away our images that no name and no child holds: the earlier stages of builds."""
        from docker.errors import APIError

        with _told("Removing what builds left"):
            filters = {"label": f"{OWNER_LABEL}={OWNER}", "dangling": True}
            for image in self._client.images.list(filters=filters):
                try:
                    self._client.images.remove(str(image.id))
                except APIError as error:
                    if error.status_code not in (404, 409):  # gone with another, or a parent of one in use
                        raise

    def import_image(self, stream: Any, reference: str, changes: list[str]) -> None:
        """An image of one layer from a tar stream; `changes` are Dockerfile instructions."""
        repository, _, tag = reference.rpartition(":")
        labels = [f'LABEL {name}="{value}"' for name, value in LABELS.items()]
        with _told(f"Importing image {reference}"):
            self._client.api.import_image_from_stream(stream, repository=repository, tag=tag, changes=changes + labels)

    def build(
        self,
        folder: Path,
        references: Iterable[str],
        arguments: Mapping[str, str],
        on_line: Callable[[str], None],
        dockerfile: Any = None,
    ) -> None:
        """Build an image from `folder` (or from the file object `dockerfile` alone) under each of the names.

        Raises ImageError with the end of the failing step's output.
        """
        first, *others = references
        output: list[str] = []
        source: dict[str, Any] = {"fileobj": dockerfile} if dockerfile else {"path": str(folder)}
        with _told(f"Building {first}"):
            for event in self._client.api.build(
                **source, tag=first, buildargs=dict(arguments), labels=LABELS, decode=True, rm=True, forcerm=True
            ):
                text = str(event.get("stream") or event.get("status") or "").strip()
                if text:
                    output.append(text)
                    on_line(text.splitlines()[-1])
                if "error" in event:
                    tail = "\n  ".join("\n".join(output).splitlines()[-15:])
                    raise ImageError(
                        f"Building {first} failed: {event['error'].strip()}\n  {tail}",
                        "Mend it and run ./inv build again; ./inv setup brings the image that it builds on",
                    )
        for name in others:
            self.tag(first, name)

    # containers

    def containers(self, label: str) -> "list[Container]":
        """All containers that carry `label` (name=value), stopped ones too."""
        with _told("Listing containers"):
            return list(self._client.containers.list(all=True, filters={"label": label}, ignore_removed=True))

    def everything(self) -> list[str]:
        """Whatever is in the engine, whoever made it: containers, volumes, and images that do not carry our label."""
        with _told("Listing what is in the engine"):
            ours = {image.id for image in self._client.images.list(filters={"label": f"{OWNER_LABEL}={OWNER}"})}
            return [
                *(f"container {container.name}" for container in self._client.containers.list(all=True, ignore_removed=True)),
                *(f"volume {volume.name}" for volume in self._client.volumes.list()),
                *(f"image {image.tags[0]}" for image in self._client.images.list() if image.tags and image.id not in ours),
            ]

    def users(self, reference: str) -> list[str]:
        """The names of the containers made from an image."""
        with _told("Listing containers"):
            containers = self._client.containers.list(all=True, filters={"ancestor": reference}, ignore_removed=True)
            return sorted(str(container.name) for container in containers)

    def start(self, container: "Container") -> None:
        with _told(f"Starting {container.name}"):
            container.start()

    def stop(self, container: "Container") -> None:
        with _told(f"Stopping {container.name}"):
            container.stop(timeout=20)

    def run(
        self,
        image: str,
        argv: list[str],
        mounts: Mapping[Path, tuple[str, str]],
        environment: Mapping[str, str],
        user: str,
        on_line: Callable[[str], None],
    ) -> int:
        """Run a command in a container of its own, standing in /project, and return its exit code; then the container is gone.

        `mounts` are host path -> (path in the container, "ro" or "rw"); `on_line` hears each line of its output.
        """
        volumes = {str(path): {"bind": target, "mode": mode} for path, (target, mode) in mounts.items()}
        with _told(f"Running {argv[0]} in {image}"):
            container = self._client.containers.create(
                image, argv, volumes=volumes, environment=dict(environment), user=user, working_dir="/project", labels=LABELS
            )
            try:
                container.start()
                rest = b""
                for piece in container.logs(stream=True, follow=True):
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        on_line(line.decode(errors="replace").rstrip())
                return int(container.wait()["StatusCode"])
            finally:
                container.remove(force=True, v=True)

    def run_in(self, container: "Container", *argv: str) -> str:
        """Run a command in a container and return what it printed. Raises EngineError where it fails."""
        with _told(f"Running {argv[0]} in {container.name}"):
            ended: Any = container.exec_run(list(argv), demux=True)
        output, errors = ended.output
        if ended.exit_code != 0:
            raise EngineError(f"`{' '.join(argv)}` in {container.name} failed: {(errors or b'').decode().strip()}")
        return (output or b"").decode()

    # networks

    def network(self, name: str) -> dict[str, Any] | None:
        """A network's description (Labels, IPAM, Containers), or None."""
        from docker.errors import NotFound

        with _told(f"Looking for network {name}"):
            try:
                found: dict[str, Any] = self._client.api.inspect_network(name)
            except NotFound:
                return None
            return found if found["Name"] == name else None

    def create_network(self, name: str) -> None:
        with _told(f"Making network {name}"):
            self._client.networks.create(
                name,
                driver="bridge",
                labels={**LABELS, CLUSTER_LABEL: name},
                options={"com.docker.network.bridge.enable_ip_masquerade": "true"},
                check_duplicate=True,
            )

    def remove_network(self, name: str) -> None:
        with _told(f"Removing network {name}"):
            self._client.api.remove_network(name)

    def our_clusters(self) -> list[str]:
        """The names of the clusters that we made: each has a network that carries our label."""
        with _told("Listing networks"):
            networks = self._client.networks.list(filters={"label": f"{OWNER_LABEL}={OWNER}"})
            return sorted((network.attrs.get("Labels") or {}).get(CLUSTER_LABEL, "") for network in networks)


def context_files(folder: Path) -> list[str]:
    """The relative paths of the files that a build of `folder` sends, after .dockerignore, sorted."""
    from docker.utils.build import exclude_paths

    ignore = folder / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return sorted(name for name in exclude_paths(str(folder), patterns) if (folder / name).is_file())

"""The container engine, through Docker's SDK. Everything built or imported here carries the owner's label."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kubetasks.engine import access, content, machine
from kubetasks.errors import EngineError, ImageError, causes
from kubetasks.project.labels import OWNER_LABEL, TOOL, Owner
from kubetasks.project.words import DOCS, INV, INVOKE
from kubetasks.terminal.loopback import is_loopback
from kubetasks.terminal.report import waiting_for

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container as Container

REQUEST_TIMEOUT = 60  # seconds; a build or a pull may be silent for SILENT_SECONDS
ANSWER_SECONDS = 10  # a running engine reports its release within this time
SILENT_SECONDS = 1800
EXEC_SECONDS = 600  # limit for a command in a container, such as a node's pull of a large image
TIMED_OUT = 124  # the exit code of coreutils' timeout
COLORS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # written by a program that takes its output for a terminal
BUILD_LINES = 15  # shown of a failed build's output
STEP = re.compile(r"Step \d+/\d+ : ")  # the classic builder's line before the output of an instruction
OF_THE_BUILDER = re.compile(r"---> |Removing intermediate container ")  # the classic builder's own lines among that output
BAD_REQUEST = 400
REQUIRES_BUILDKIT = "requires BuildKit"  # the classic builder's error for RUN --mount, COPY --chmod and others
# its errors for a cached layer that was removed
LAYER_GONE = re.compile(
    'failed to get digest sha256:|unknown parent image ID|No such image: sha256:|unable to find image "sha256:'
)
UNKNOWN_IMAGE = "unrecognized image ID"  # an engine's error, with status 500, for one that is removed at the same time
MOUNTS = Path("/proc/self/mountinfo")  # on Linux
SAVED_BYTES = 1 << 20  # bytes read at a time
TAKEN, TAG_SECONDS = "already exists", 10  # the error if another process sets the same tag meanwhile; seconds to retry
NO_SPACE = "no space left on device"
NO_SPACE_HINT = "docker system df shows what could be removed"
SAVES_PLATFORM = "1.48"  # the API of Docker 28


@dataclass(frozen=True)
class Created:
    """A cluster that a project's tasks created. `provider` is "" for the default provider, and `folder` is "" if unknown."""

    name: str
    provider: str
    owner: str
    folder: str
    command: str


class AbsentError(EngineError):
    """No engine answers."""


class PullError(EngineError):
    """The engine cannot pull an image from any registry."""


class BuildKitNeededError(ImageError):
    """The engine refuses to build with its classic builder; BuildKit may build it."""


class LayerGoneError(ImageError):
    """Another run has removed a layer of the cache that this build was using."""


def connect(timeout: int = REQUEST_TIMEOUT, variables: Mapping[str, str] | None = None, owner: Owner = TOOL) -> "Engine":
    """Connect to the engine that these variables select: DOCKER_HOST, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY. Raises EngineError.

    Without them, use the same engine as docker and kind do: the one that the environment or docker's current context selects, or
    the local one; after docker-env, the one that was selected before it. Images built or imported here get the owner's label.
    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    variables = variables or access.environment() or os.environ
    try:
        with waiting_for("Waiting for the container engine to answer"):
            client = access.docker_client(timeout, variables)
    except (DockerException, RequestException) as error:
        if "Permission denied" in str(error) or "PermissionError" in str(error):
            raise EngineError(
                "Permission denied on the container engine's socket.",
                "Join its group and log in again: sudo usermod -aG docker $USER",
            ) from error
        where = access.named() if variables is os.environ else ""
        if where:
            raise AbsentError(f"No container engine answers ({where}): {_reason(error)}", access.UNREACHABLE_HINT) from error
        hint = f"{INV} doctor says what installs or starts one; DOCKER_HOST or docker's context names another"
        raise AbsentError("No container engine answers.", hint) from error
    return Engine(client, variables, owner)


def release() -> str | None:
    """Return the release of the engine that the tasks use, or None if none answers.

    Raises EngineError if it denies access or is too old, or if docker's context cannot be read: another engine would not help.
    """
    try:
        return connect(timeout=ANSWER_SECONDS).version()
    except AbsentError:
        return None


def _reason(error: BaseException) -> str:
    """Return why an engine does not answer: the system's error, "it does not speak HTTP.", or the SDK's message."""
    from requests.exceptions import RequestException

    for cause in causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.strerror}."
    return "it does not speak HTTP." if isinstance(error, RequestException) else " ".join(str(error).split())


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Turn the SDK's errors into an EngineError with one sentence, and report `what` if the block takes long."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        with waiting_for(what):
            yield
    except APIError as error:
        message = str(error.explanation or error)
        hint = f"{INV} doctor shows what this machine has; the engine's own log may say more"
        raise EngineError(f"{what} failed: {message}", NO_SPACE_HINT if NO_SPACE in message else hint) from error
    except (DockerException, RequestException, HTTPError, ConnectionError) as error:  # the last two: it stopped meanwhile
        raise EngineError(f"{what} failed: {error}", f"{INV} doctor says whether the engine answers") from error


@contextmanager
def _found(what: str) -> Iterator[None]:
    """Like `_reported`, but end the block quietly if the object does not exist."""
    from docker.errors import NotFound

    with _reported(what), suppress(NotFound):
        yield


class Engine:
    """A container engine. Methods raise EngineError; for a missing object, they return None or False."""

    def __init__(self, client: "docker.DockerClient", variables: Mapping[str, str], owner: Owner) -> None:
        self._client = client
        self._variables = variables
        self.owner = owner

    @property
    def variables(self) -> dict[str, str]:
        """The variables that make the docker CLI use this engine, without a proxy as here; {} if the environment selects it."""
        if self._variables is os.environ:
            return {}
        host = urlsplit(self._variables.get("DOCKER_HOST", "")).hostname or ""
        direct = ",".join(filter(None, (os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")), host)))
        return {**self._variables, "NO_PROXY": direct, "no_proxy": direct}

    def _silent(self) -> AbstractContextManager["docker.DockerClient"]:
        """Return a client for requests whose response may pause for minutes."""
        return closing(access.docker_client(SILENT_SECONDS, self._variables))

    @cached_property
    def info(self) -> machine.Info:
        """The engine's description of itself."""
        with _reported("Asking the engine about itself"):
            return dict(self._client.info())

    def require_usable(self) -> None:
        """Raise EngineError if no cluster can run on this engine, or if none would be reachable at 127.0.0.1 from here."""
        where = str(self._client.api.base_url)  # http+docker://localhost for a socket
        if not is_loopback(where):
            raise EngineError(
                f"The container engine is on another machine ({where}), and a cluster there does not answer at 127.0.0.1 here.",
                f"Run the same command there, or use that cluster with the provider `existing`: {DOCS}/clusters.md",
            )
        refused = machine.refusal(self.info, self._own_container())
        if refused:
            raise EngineError(*refused)

    def _own_container(self) -> "dict[str, Any] | None":
        """Return the attributes of this engine's container that this process runs in, or None."""
        own = machine.container_id(MOUNTS.read_text()) if MOUNTS.exists() else ""
        if own:
            with _found("Looking for this container"):
                return dict(self._client.containers.get(own).attrs)
        return None

    def cautions(self) -> list[str]:
        """Return possible causes of failure on this engine's machine, each with a remedy."""
        from urllib.request import getproxies_environment

        return machine.cautions(self.info, getproxies_environment())

    def version(self) -> str:
        """Return the engine's release, for example 28.0.4."""
        with _reported("Asking the engine for its version"):
            return str(self._client.version()["Version"])

    def asks_for_buildkit(self) -> bool:
        """Return whether the engine tells docker to build with BuildKit, as engines do since release 23."""
        with _reported("Asking the engine for its builder"):
            answer = self._client.api.get(f"{self._client.api.base_url}/_ping", timeout=ANSWER_SECONDS)
            return str(answer.headers.get("Builder-Version")) == "2"

    # images

    def image_id(self, reference: str) -> str | None:
        """Return the image's id (sha256:...), or None."""
        with _found(f"Looking for image {reference}"):
            return str(self._client.images.get(reference).id)
        return None

    def digest(self, reference: str) -> str:
        """Return the digest of the image in the registry of its reference, known from a push or pull, or ""."""
        with _found(f"Looking for image {reference}"):
            known = self._client.images.get(reference).attrs["RepoDigests"] or []
            return next((name.partition("@")[2] for name in known if name.startswith(f"{reference.rpartition(':')[0]}@")), "")
        return ""

    def image_tags(self, repository: str = "") -> list[str]:
        """Return the owner's images of that name ("": any) in any registry, as sorted references: tags, or digests if untagged.

        If two runs push the same image, the second leaves an untagged digest.
        """
        with _reported("Listing images"):
            # `images.list` would send one more request per image
            images = self._client.api.images(filters={"label": self.owner.selector})
            names = [str(name) for image in images for name in image["RepoTags"] or image["RepoDigests"] or ()]
            wanted = re.compile(rf"(.*/)?{re.escape(repository) or '[^/:@]+'}[:@][^/]*")
            return sorted(name for name in names if wanted.fullmatch(name))

    def pull(self, reference: str, on_line: Callable[[str], None]) -> None:
        """Pull an image by digest or tag. Raises PullError, or EngineError for a failure that would also prevent a build."""
        from docker.errors import APIError

        with _reported(f"Pulling {reference}"), self._silent() as client:
            try:
                for event in client.api.pull(reference, stream=True, decode=True):
                    if "error" in event:
                        raise _pull_error(reference, event["error"])
                    on_line(f"{event.get('status', '')} {event.get('progress', '')}".strip())
            except APIError as error:
                raise _pull_error(reference, str(error.explanation or error)) from error

    def push(self, name: str, on_line: Callable[[str], None]) -> str:
        """Push an image to the registry in its name, with docker login's credentials; return its digest. Raises ImageError."""
        digest = ""
        repository, _, tag = name.rpartition(":")
        with _reported(f"Pushing {name}"), self._silent() as client:
            for event in client.api.push(repository, tag=tag, stream=True, decode=True):
                if "error" in event:
                    raise _push_error(repository, event["error"])
                digest = (event.get("aux") or {}).get("Digest", digest)
                on_line(f"{event.get('status', '')} {event.get('progress', '')}".strip())
        return digest

    def tag(self, reference: str, name: str) -> None:
        """Tag an image as `name`, even if another image has that name.

        With the containerd image store, the engine deletes and recreates the name, and fails if another process comes first.
        """
        import tenacity
        from docker.errors import APIError

        repository, _, tag = name.rpartition(":")
        taken = tenacity.retry_if_exception(lambda error: isinstance(error, APIError) and TAKEN in str(error))
        stop, pause = tenacity.stop_after_delay(TAG_SECONDS), tenacity.wait_random(0, 0.2)
        with _reported(f"Tagging {reference}"):
            image = self._client.images.get(reference)
            tenacity.Retrying(retry=taken, stop=stop, wait=pause, reraise=True)(image.tag, repository, tag)

    def platform(self, reference: str) -> str:
        """Return the platform of an image to save, for example linux/amd64, or "" for an engine before Docker 28.

        With the containerd image store, a pulled image lists all platforms, but has the content of this one only.
        """
        from docker.utils import version_lt

        with _reported(f"Looking for image {reference}"):
            if version_lt(self._client.api.api_version, SAVES_PLATFORM):
                return ""
            image = self._client.images.get(reference).attrs
            return "/".join(filter(None, (image["Os"], image["Architecture"], image.get("Variant"))))

    def save(self, references: Sequence[str], file: Path) -> None:
        """Write an image with these names to a file for `docker load`."""
        parts = dict(zip(("os", "architecture", "variant"), self.platform(references[0]).split("/"), strict=False))
        chosen = {"platform": json.dumps(parts)} if parts["os"] else {}
        try:
            with _reported(f"Saving {references[0]}"), self._silent() as client, file.open("wb") as sink:
                api = client.api  # its get_image method takes only one name
                url = f"{api.base_url}/v{api.api_version}/images/get"
                with api.get(url, params={"names": references, **chosen}, stream=True) as answer:
                    answer.raise_for_status()
                    for piece in answer.iter_content(SAVED_BYTES):
                        sink.write(piece)
        except OSError as error:
            raise EngineError(f"{file} could not be written: {error.strerror}.", "Make room on the disk") from error

    def remove_image(self, reference: str) -> bool:
        """Remove a reference, and the image with its last reference. Return False if it did not exist."""
        with _found(f"Removing image {reference}"):
            self._client.images.remove(reference, force=True)
            return True
        return False

    def remove_dangling(self) -> None:
        """Remove the owner's untagged images without children: the earlier stages of builds."""
        from docker.errors import APIError

        with _reported("Removing stages of builds"):
            filters, tried = {"label": self.owner.selector, "dangling": True}, set[str]()
            # with the containerd image store, the parent of a removed image stays, and is listed only then
            while found := {str(image["Id"]) for image in self._client.api.images(filters=filters)} - tried:
                for image in found:
                    try:
                        self._client.images.remove(image)
                    except APIError as error:
                        # removed with another image or by another run, or the parent of one in use
                        if error.status_code not in (404, 409) and UNKNOWN_IMAGE not in str(error):
                            raise
                tried |= found

    def import_image(self, stream: Any, reference: str, changes: list[str]) -> None:
        """Create an image with one layer from a tar stream; `changes` are Dockerfile instructions."""
        repository, _, tag = reference.rpartition(":")
        labels = [f'LABEL {name}="{value}"' for name, value in self.owner.labels.items()]
        with _reported(f"Importing image {reference}"), self._silent() as client:
            client.api.import_image_from_stream(stream, repository=repository, tag=tag, changes=changes + labels)

    def build(
        self,
        context: IO[bytes],
        references: Iterable[str],
        arguments: Mapping[str, str],
        on_line: Callable[[str], None],
        dockerfile: str = "Dockerfile",
        target: str = "",
    ) -> None:
        """Build an image, or only its stage `target`, from a tar archive with that Dockerfile, and tag it with each reference.

        Raises ImageError with the end of the build's output, BuildKitNeededError, and LayerGoneError.
        """
        from docker.errors import APIError

        first, *others = references
        output: list[str] = []

        def failed(error: str) -> ImageError:
            kind = LayerGoneError if LAYER_GONE.search(error) else ImageError
            return (BuildKitNeededError if REQUIRES_BUILDKIT in error else kind)(
                f"Building {first} failed: {error.strip()}{end_of(output)}",
                f"Fix it and run {INV} build again",
            )

        with _reported(f"Building {first}"), self._silent() as client:
            try:
                for event in client.api.build(
                    fileobj=content.labelled(context, dockerfile, self.owner.labels),
                    custom_context=True,
                    dockerfile=dockerfile,
                    tag=first,
                    buildargs=dict(arguments),
                    target=target or None,
                    decode=True,
                    rm=True,
                    forcerm=True,
                ):
                    text = COLORS.sub("", str(event.get("stream") or event.get("status") or "")).strip()
                    if STEP.match(text):  # the steps before it have succeeded
                        output.clear()
                    if text and not OF_THE_BUILDER.match(text):
                        output.append(text)
                    if text:
                        on_line(text.splitlines()[-1])
                    if "error" in event:
                        raise failed(event["error"])
            except APIError as error:
                if error.status_code != BAD_REQUEST:
                    raise
                raise failed(str(error.explanation)) from error  # the Dockerfile cannot be parsed
        for name in others:
            self.tag(first, name)

    # containers

    def containers(self, label: str) -> "list[Container]":
        """Return all containers with `label` (name=value), including stopped ones."""
        with _reported("Listing containers"):
            return list(self._client.containers.list(all=True, filters={"label": label}, ignore_removed=True))

    def others(self, pulled: list[str]) -> list[str]:
        """Return the names of all containers, volumes and images, except images with the owner's label or in `pulled`."""
        with _reported("Listing the engine's content"):
            ours = {image.id for image in self._client.images.list(filters={"label": self.owner.selector})}
            ours |= {self.image_id(reference) for reference in pulled}
            return [
                *(f"container {container.name}" for container in self._client.containers.list(all=True, ignore_removed=True)),
                *(f"volume {volume.name}" for volume in self._client.volumes.list()),
                *(
                    f"image {image.tags[0] if image.tags else image.short_id}"
                    for image in self._client.images.list()
                    if image.id not in ours
                ),
            ]

    def users(self, reference: str) -> list[str]:
        """Return the sorted names of the containers created from an image."""
        with _reported("Listing containers"):
            containers = self._client.containers.list(all=True, filters={"ancestor": reference}, ignore_removed=True)
            return sorted(str(container.name) for container in containers)

    def container(self, name: str) -> "Container | None":
        """Return the container of that name, running or stopped, or None."""
        with _found(f"Looking for container {name}"):
            container = self._client.containers.get(name)
            return container if container.name == name else None
        return None

    def start(self, container: "Container") -> None:
        with _reported(f"Starting {container.name}"):
            container.start()

    def stop(self, container: "Container") -> None:
        with _reported(f"Stopping {container.name}"):
            container.stop(timeout=20)

    def serve(self, image: str, name: str, **options: Any) -> None:
        """Start a container in the background; `options` are passed to the SDK's `run`."""
        with _reported(f"Starting container {name}"):
            self._client.containers.run(image, detach=True, name=name, **options)

    def remove(self, container: "Container") -> None:
        """Remove a container, running or stopped, with its volumes."""
        with _found(f"Removing {container.name}"):
            container.remove(force=True, v=True)

    def run_in(self, container: "Container", *argv: str) -> str:
        """Run a command in a running container and return its output. Raises EngineError if it fails, or after NODE_SECONDS."""
        what = f"`{' '.join(argv)}` in {container.name}"
        with _reported(f"Running {argv[0]} in {container.name}"):  # the SDK would wait forever
            ended: Any = container.exec_run(["timeout", str(EXEC_SECONDS), *argv], demux=True)
        output, errors = ended.output
        if ended.exit_code == TIMED_OUT:
            raise EngineError(f"{what} has not ended after {EXEC_SECONDS} s.", f"{INV} stop start")
        if ended.exit_code != 0:
            raise EngineError(f"{what} failed: {(errors or b'').decode().strip()}", f"docker logs {container.name}")
        return (output or b"").decode()

    def has_file(self, container: "Container", path: str) -> bool:
        """Return whether a container, running or stopped, has that file."""
        with _found(f"Looking for {path} in {container.name}"):
            stream, _ = container.get_archive(path)
            for _piece in stream:  # read it all, or the connection cannot be reused
                pass
            return True
        return False

    # networks

    def network(self, name: str) -> dict[str, Any] | None:
        """Return a network's description (Labels, IPAM, Options), or None."""
        with _found(f"Looking for network {name}"):
            network: dict[str, Any] = self._client.api.inspect_network(name)
            return network if network["Name"] == name else None
        return None

    def create_network(self, name: str, labels: Mapping[str, str], options: Mapping[str, str]) -> None:
        with _reported(f"Creating network {name}"):
            self._client.networks.create(name, driver="bridge", labels=dict(labels), options=dict(options), check_duplicate=True)

    def remove_network(self, name: str) -> None:
        with _reported(f"Removing network {name}"):
            self._client.api.remove_network(name)

    # volumes

    def volume(self, name: str) -> dict[str, str] | None:
        """Return a volume's labels, or None if there is no such volume."""
        with _found(f"Looking for volume {name}"):
            return dict(self._client.volumes.get(name).attrs.get("Labels") or {})
        return None

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        with _reported(f"Creating volume {name}"):
            self._client.volumes.create(name, labels=dict(labels))

    def remove_volume(self, name: str) -> None:
        with _reported(f"Removing volume {name}"):
            self._client.volumes.get(name).remove()

    def clusters(self) -> list[Created]:
        """Return the clusters of all projects in this engine, sorted by name, from the labels of networks and volumes."""
        with _reported("Listing networks and volumes"):
            filters = {"label": OWNER_LABEL}
            marked = [*self._client.networks.list(filters=filters), *self._client.volumes.list(filters=filters)]
            return sorted(
                filter(None, (_created(labelled.attrs["Labels"]) for labelled in marked)),
                key=lambda cluster: (cluster.name, cluster.provider),
            )


def _created(labels: Mapping[str, str]) -> Created | None:
    owner = Owner(labels[OWNER_LABEL])
    values = {field.name: labels.get(owner.key(field.name), "") for field in fields(Created)}
    values |= {"owner": owner.name, "name": labels.get(owner.key("cluster"), "")}
    return Created(**values) if values["name"] else None


def _pull_error(reference: str, error: str) -> EngineError:
    message = f"Pulling {reference} failed: {error.strip()}"
    if NO_SPACE in error:
        return EngineError(message, NO_SPACE_HINT)
    if _is_certificate_error(error):
        return EngineError(message, f"The engine does not trust your company's CA: {DOCS}/setup.md")
    return PullError(message, f"Try again: {INV} setup; {INV} doctor reports a proxy that the engine lacks")


def _is_certificate_error(error: str) -> bool:
    return "x509" in error or "certificate" in error


def _push_error(repository: str, error: str) -> ImageError:
    registry = repository.split("/")[0]
    if _is_certificate_error(error):
        hint = f"Put the certificate of its authority into /etc/docker/certs.d/{registry}/ca.crt"
    elif any(word in error for word in ("denied", "unauthorized", "authentication", "no basic auth")):
        hint = f"docker login {registry}; you must be allowed to push to {repository}"
    else:
        hint = f"Check {INVOKE}_APP_REGISTRY; docker push {repository} shows the same"
    return ImageError(f"The registry rejected {repository}: {error.strip()}", hint)


def end_of(output: Iterable[str]) -> str:
    """Return the last BUILD_LINES lines of a build's output, each indented and after a line break."""
    return "".join(f"\n  {line}" for line in "\n".join(output).strip().splitlines()[-BUILD_LINES:])

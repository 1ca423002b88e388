"""Select the container engine (by DOCKER_HOST, docker's context or docker-env), and connect to it."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kubetasks.errors import EngineError

if TYPE_CHECKING:
    import docker

INITIAL_API_VERSION = "1.41"  # the API version of a client before its first request
SHELL_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "MINIKUBE_ACTIVE_DOCKERD")  # set by docker-env
# set by the output of minikube's docker-env: the node whose engine DOCKER_HOST names, and the previous DOCKER_HOST, if any
NODE_VARIABLE, BEFORE_VARIABLE = "MINIKUBE_ACTIVE_DOCKERD", "MINIKUBE_EXISTING_DOCKER_HOST"
DEFAULT_CONTEXT = "default"  # this machine's own engine
UNREACHABLE_HINT = "Start it; or, for the engine of this machine: unset DOCKER_HOST; docker context use default"
CONTEXTS = "docker context ls shows them; docker context use default"


def node_of_shell() -> str:
    """Return the node whose engine this shell's docker uses after docker-env, or ""."""
    return os.environ.get(NODE_VARIABLE, "")


def environment() -> dict[str, str]:
    """Return the variables that make a program use the engine that runs the nodes, or {} if docker-env did not select another."""
    if not node_of_shell():
        return {}
    before = {name: os.environ.get(f"MINIKUBE_EXISTING_{name}", "") for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")}
    return before | {"DOCKER_HOST": os.environ.get(BEFORE_VARIABLE, "")}


def docker_client(timeout: int, access: Mapping[str, str]) -> "docker.DockerClient":
    """Return a client of the engine that `access` or docker's context selects, with its API version. Raises EngineError."""
    import docker
    from docker.constants import MINIMUM_DOCKER_API_VERSION
    from docker.utils import kwargs_from_env, version_lt
    from requests.utils import get_environ_proxies

    where = kwargs_from_env(environment=access) if access.get("DOCKER_HOST") else _of_context()
    options: Any = {"timeout": timeout, "version": INITIAL_API_VERSION, **where}
    client = docker.DockerClient(**options)
    # the response names the API version, and an engine takes ten times as long to answer a request for the version itself
    api: Any = client.api
    api.trust_env = False  # otherwise REQUESTS_CA_BUNDLE would replace the engine's own CA
    if access is os.environ:  # this environment's proxy is only for an engine that this environment names
        api.proxies = get_environ_proxies(api.base_url)
    try:
        answer = api.get(f"{api.base_url}/_ping", timeout=timeout)
        answer.raise_for_status()
        api._version = answer.headers.get("Api-Version", INITIAL_API_VERSION)
        if version_lt(api._version, MINIMUM_DOCKER_API_VERSION):
            least = MINIMUM_DOCKER_API_VERSION
            raise EngineError(f"The container engine is too old: it has API {api._version}, and {least} is needed.", "Update it")
    except BaseException:
        client.close()
        raise
    return client


def named() -> str:
    """Return what selects the engine: "DOCKER_HOST", "the docker context NAME", or "" for this machine's own.

    After docker-env, this is what selected the engine before.
    """
    if {**os.environ, **environment()}.get("DOCKER_HOST"):
        return "DOCKER_HOST"
    name = _context()
    return "" if name == DEFAULT_CONTEXT else f"the docker context {name}"


def _context() -> str:
    """Return the name of docker's current context."""
    from docker.context.config import get_current_context_name

    current: Any = get_current_context_name
    return str(os.environ.get("DOCKER_CONTEXT") or current())


def _of_context() -> dict[str, Any]:
    """Return the client options for docker's current context. Raises EngineError if it does not exist or cannot be read."""
    from docker.context import ContextAPI

    name = _context()
    try:
        arguments: Any = ContextAPI.kwargs_from_context(name)
    except Exception as error:
        raise EngineError(f"The docker context {name} cannot be read: {error}", CONTEXTS) from error
    if name != DEFAULT_CONTEXT and not arguments:
        raise EngineError(f"There is no docker context {name}.", CONTEXTS)
    return dict(arguments)

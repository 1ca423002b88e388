"""A connection to one cluster's API. Objects are the API's own JSON, as dicts."""

import contextlib
import itertools
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from kubetasks.errors import ClusterError, TaskError, causes
from kubetasks.project.labels import Owner
from kubetasks.project.words import DOCS
from kubetasks.terminal import shell, wait
from kubetasks.terminal.loopback import is_loopback
from kubetasks.terminal.report import waiting_for

Object = dict[str, Any]
R = TypeVar("R")

REQUEST_SECONDS = 30
POD_SECONDS = 5  # the longest that a ready pod may take to answer
UNAVAILABLE = "api-unavailable"
PATIENCE, MOST_PATIENCE = 30.0, 120.0  # seconds; a restarting control plane needs ten, more on a slow machine
TOO_MANY_REQUESTS = 429
HTTP_ERROR = 400
UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404
NOT_ALLOWED = (UNAUTHORIZED, FORBIDDEN)
NO_RIGHT = 'User \\"'  # in the JSON of an answer with status 403: User "X" cannot list resource "nodes"
TLS_ERRORS = ("CERTIFICATE", "KEY_VALUES_MISMATCH", "UNKNOWN_CA", "PEM_LIB")  # parts of OpenSSL's error messages

KNOWN = {  # by API group and version, the kinds that need no discovery; the plural is the kind in lower case plus "s"
    "v1": "Namespace Node Pod Service Secret ConfigMap ServiceAccount PersistentVolumeClaim Event",
    "apps/v1": "Deployment ReplicaSet StatefulSet DaemonSet",
    "batch/v1": "Job CronJob",
    "policy/v1": "PodDisruptionBudget",
    "coordination.k8s.io/v1": "Lease",
    "discovery.k8s.io/v1": "EndpointSlice",
    "rbac.authorization.k8s.io/v1": "Role RoleBinding ClusterRole ClusterRoleBinding",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition",
    "metallb.io/v1beta1": "IPAddressPool L2Advertisement",
}
VERSIONS = {kind: version for version, kinds in KNOWN.items() for kind in kinds.split()}
CLUSTER_WIDE = ("Namespace", "Node", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition")
NAMESPACE = "namespace"  # the owner's label on cluster-scoped objects
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"  # since Kubernetes 1.30


class Resource(NamedTuple):
    """How the API server serves a kind. `listed`: its objects can be listed and deleted, and no other version is preferred."""

    plural: str
    namespaced: bool
    listed: bool


class ApiError(TaskError):
    """The API refused a request. `status` is the HTTP status, `reason` Kubernetes' own (NotFound, Forbidden, ...) or ""."""

    code = ClusterError.code

    def __init__(self, what: str, status: int, reason: str, message: str, hint: str = "") -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{what} was refused by the cluster: {message or reason or status}", hint)


class UnservedError(ClusterError):
    """The API server does not serve the kind in that version."""


class CredentialsError(ClusterError):
    """Something answers, but the kubeconfig has the certificate authority or the key of another cluster."""


def path(kind: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """Return the API path of a known kind's list, of one of its objects, or of an object's subresource."""
    return _path(VERSIONS[kind], f"{kind.lower()}s", "" if kind in CLUSTER_WIDE else namespace, name, subresource)


def _path(version: str, plural: str, namespace: str, name: str = "", subresource: str = "") -> str:
    parts = ["apis" if "/" in version else "api", version]
    if namespace:
        parts += ["namespaces", quote(namespace)]
    parts += [plural, *([quote(name, safe="/:")] if name else []), *([subresource] if subresource else [])]
    return "/" + "/".join(parts)


def reference(kind: str, name: str) -> Object:
    """Return a reference to an object of a known kind."""
    return {"apiVersion": VERSIONS[kind], "kind": kind, "metadata": {"name": name}}


def describe(item: Object) -> str:
    """Return the object's name as kubectl accepts it: deployment/NAME, or KIND.GROUP/NAME if the kind is not in KNOWN."""
    kind, group = str(item["kind"]), str(item["apiVersion"]).rpartition("/")[0]
    known = not group or VERSIONS.get(kind, "").startswith(f"{group}/")
    return f"{kind.lower()}{'' if known else f'.{group}'}/{item['metadata']['name']}"


def within(item: Any, *keys: str) -> Object:
    """Return the mapping at these keys of unchecked data; {} if it is missing or not a mapping."""
    found = item
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


@dataclass(eq=False)
class Kube:
    """One cluster's API. Every method raises ApiError, and ClusterError if nothing answers.

    Applied objects carry the label of `owner`; its name is the field manager. `own`: kubetasks created the cluster. The hints are
    for an API server that does not answer and for one that the kubeconfig does not fit. `kubectl_line` is how the user runs
    kubectl on this cluster. An API server that has answered may be unreachable for `patience` seconds: it may be restarting.
    """

    _api: Any
    owner: Owner
    _cluster: str
    _unreachable_hint: str
    _credentials_hint: str
    kubectl_line: str
    _own: bool
    patience: float = PATIENCE
    _resources: dict[tuple[str, str], Resource] = field(default_factory=dict, init=False)
    _has_answered: bool = field(default=False, init=False)
    _retries_off: bool = field(default=False, init=False)

    @property
    def api(self) -> Any:
        """The ApiClient of the kubernetes package."""
        return self._api

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._api.configuration.host)

    def version(self) -> str:
        """Return the Kubernetes version, for example v1.36.3. Every authenticated user may ask for it."""
        return str(self.request("GET", "/version")["gitVersion"])

    def _send(
        self,
        method: str,
        target: str,
        query: Mapping[str, str] | None = None,
        body: Object | list[Object] | None = None,
        content_type: str = "application/json",
        seconds: int = REQUEST_SECONDS,
        accept: str = "application/json",
    ) -> tuple[int, str]:
        """Send one request; return the status and the text of the answer."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        request = self._api.param_serialize(
            method=method,
            resource_path=target,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._api.call_api(*request, _request_timeout=seconds)
            return response.status, (response.read() or b"").decode(errors="replace")
        except (HTTPError, ApiException) as error:  # the client raises ApiException for any TLS failure
            if mistrust := _tls_error(error):
                raise CredentialsError(
                    f"The kubeconfig does not match the API server of cluster {self._cluster}: {mistrust}.",
                    self._credentials_hint,
                ) from error
            raise ClusterError(
                f"The API server of cluster {self._cluster} does not answer ({type(error).__name__}).", self._unreachable_hint
            ) from error

    def _sent(self, method: str, target: str, *more: Any) -> tuple[int, str]:
        """Like `_send`, but retry while a server that has answered before does not answer; in a wait, the wait itself retries."""
        seconds = 0.0 if self._retries_off else self.patience
        with waiting_for(f"Waiting for the API server of cluster {self._cluster} to answer {method} {target}"):
            return self.again(partial(self._allowed, method, target, *more), ClusterError, seconds)

    def _allowed(self, *request: Any) -> tuple[int, str]:
        """Like `_send`, but raise ClusterError if kubetasks' own cluster denies the right: its API server has just started."""
        status, text = self._send(*request)
        self._has_answered = True
        if self._own and status == FORBIDDEN and NO_RIGHT in text:
            raise ClusterError(
                f"The API server of cluster {self._cluster} has just started, and has not loaded its access rules yet.",
                self._unreachable_hint,
            )
        return status, text

    def request(
        self,
        method: str,
        target: str,
        query: Mapping[str, str] | None = None,
        body: Object | list[Object] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        """Send a request, possibly more than once, and return the decoded JSON of the answer, {} if it is empty."""
        status, text = self._sent(method, target, query, body, content_type, REQUEST_SECONDS, accept)
        if not 200 <= status <= 299:
            raise self._refusal(f"{method} {target}", status, text)
        try:
            return json.loads(text) if text else {}
        except ValueError as error:
            raise ClusterError(
                f"The server at {self.server} is not the API server of cluster {self._cluster}: it sends no JSON.",
                self._unreachable_hint,
            ) from error

    def again(self, call: Callable[[], R], error: type[TaskError], seconds: float | None = None) -> R:
        """Repeat the call while it raises `error`, and return its result. After `seconds` (or `patience`), let the error through.

        Let it through at once if nothing has answered yet, since the address may be wrong, and if it is a CredentialsError.
        """
        import tenacity

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda raised: self._has_answered and isinstance(raised, error) and not isinstance(raised, CredentialsError)
            ),
            stop=tenacity.stop_after_delay(self.patience if seconds is None else seconds),
            wait=tenacity.wait_random(0.1, 0.4),
            reraise=True,
        )
        return retrying(call)

    def surviving(self, check: Callable[[], wait.State]) -> Callable[[], wait.State]:
        """Wrap a wait's check so that the wait goes on while the API server is unreachable, and says so.

        After the first check, go on despite 401 and 403 too: a server that has just started has not loaded its access rules yet.
        """
        attempts = itertools.count()

        def survive() -> wait.State:
            first = next(attempts) == 0
            try:
                with self.without_retries():
                    return check()
            except (ClusterError, ApiError) as error:
                status = error.status if isinstance(error, ApiError) else 0
                refused = 400 <= status < 500 and status != TOO_MANY_REQUESTS
                if refused and (first or status not in NOT_ALLOWED):
                    raise
                return wait.Failed(error.sentence, error.hint, UNAVAILABLE, grace=self.patience, error=error)

        return survive

    @contextlib.contextmanager
    def without_retries(self) -> Iterator[None]:
        """Do not retry requests in the block: it is repeated by a wait."""
        self._retries_off = True
        try:
            yield
        finally:
            self._retries_off = False

    def _refusal(self, what: str, status: int, text: str) -> ApiError:
        """Return the error for an answer whose status is not a success."""
        answer: Object = {}
        with contextlib.suppress(ValueError):
            answer = within(json.loads(text))
        if answer.get("kind") != "Status":  # written by another program, such as a pod's server
            answer = {}
        hint = {UNAUTHORIZED: self._credentials_hint, FORBIDDEN: f"{DOCS}/clusters.md#rights lists the rights"}.get(status, "")
        return ApiError(what, status, answer.get("reason", ""), answer.get("message", text), hint)

    def log(self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """Return the last lines of a container's log or, with `previous`, of its log before the restart; "" if there is none."""
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        target = path("Pod", namespace, pod, "log")
        status, text = self._sent("GET", target, query)
        if status in (400, 404):  # it has no log, or the pod is gone
            return ""
        if status != 200:
            raise self._refusal(f"GET {target}", status, text)
        return text

    def ask(self, kind: str, namespace: str, name: str, port: int, target: str) -> tuple[int, str]:
        """Send GET `target` through the API server to a port of a pod, or of any pod of a service; return status and text.

        If there is no answer, the status is 0 and the text says why.
        """
        from urllib3.exceptions import ReadTimeoutError

        proxied = path(kind, namespace, f"{name}:{port}", "proxy") + target
        try:
            status, text = self._send("GET", proxied, seconds=POD_SECONDS)
        except ClusterError as error:
            if isinstance(error.__cause__, ReadTimeoutError):
                return 0, f"no answer within {POD_SECONDS} s"
            raise
        if status >= HTTP_ERROR:
            refused = self._refusal(f"GET {proxied}", status, text)
            if refused.reason == "ServiceUnavailable":  # sent by the API server itself: nothing listens or answers there
                return 0, refused.sentence.rpartition(": ")[2]
            if status in NOT_ALLOWED and refused.reason:
                raise refused
        return status, text

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return an object, or None. Raises ApiError with status 404 and no reason while the API does not serve the kind."""
        try:
            return self.request("GET", path(kind, namespace, name))
        except ApiError as error:
            if error.reason == "NotFound":
                return None
            raise

    def list(self, kind: str, namespace: str = "", **selectors: str) -> list[Object]:
        """Return the objects of a known kind; `selectors` are labelSelector and fieldSelector."""
        return [*self._listed(VERSIONS[kind], kind, path(kind, namespace), selectors)]

    def _listed(self, version: str, kind: str, target: str, selectors: Mapping[str, str]) -> Iterator[Object]:
        """Yield the objects of a list, with apiVersion and kind added: the items of a list lack them."""
        for item in self.request("GET", target, selectors)["items"] or ():
            yield {"apiVersion": version, "kind": kind, **item}

    # objects of any kind

    def resource(self, item: Object) -> Resource:
        """Return how the object's kind is served. Raises UnservedError."""
        version, kind = item["apiVersion"], item["kind"]
        if VERSIONS.get(kind) == version:
            return Resource(f"{kind.lower()}s", kind not in CLUSTER_WIDE, listed=True)
        if (version, kind) not in self._resources:
            self._discover()
        try:
            return self._resources[version, kind]
        except KeyError:
            raise UnservedError(
                f"The API server serves no {kind} of {version}.", f"{self.kubectl_line} api-resources lists what it serves"
            ) from None

    def _discover(self) -> None:
        """Discover what is served. A group whose own server does not answer has no resources, and some resources have no kind."""
        self._resources.clear()
        groups = [group for target in ("/api", "/apis") for group in self.request("GET", target, accept=DISCOVERY)["items"]]
        for group in groups:
            known = set[str]()
            for served in group["versions"]:  # the preferred one first
                version = "/".join(filter(None, (group["metadata"].get("name"), served["version"])))
                for found in served.get("resources") or ():
                    kind = str(within(found, "responseKind").get("kind", ""))
                    listed = kind not in known and {"list", "delete"} <= set(found.get("verbs") or ())
                    self._resources[version, kind] = Resource(found["resource"], found["scope"] == "Namespaced", listed)
                    known.add(kind)

    def path_of(self, item: Object) -> str:
        """Return the API path of an object. Raises UnservedError."""
        metadata = item["metadata"]
        return _path(item["apiVersion"], self.resource(item).plural, metadata.get("namespace", ""), metadata["name"])

    def in_namespace(self, item: Object, namespace: str) -> Object:
        """Return the object with its namespace set, or, if it is cluster-scoped, a label that names it. Raises UnservedError."""
        metadata = {key: value for key, value in item["metadata"].items() if key != "namespace"}
        if self.resource(item).namespaced:
            return {**item, "metadata": {**metadata, "namespace": namespace}}
        labels = {**(metadata.get("labels") or {}), self.owner.key(NAMESPACE): namespace}
        return {**item, "metadata": {**metadata, "labels": labels}}

    def read(self, item: Object) -> Object | None:
        """Return the object as it is now, or None if it does not exist. Raises UnservedError."""
        with self._gone():  # its kind may be gone too
            return {"apiVersion": item["apiVersion"], "kind": item["kind"], **self.request("GET", self.path_of(item))}
        return None

    def belongs_to(self, item: Object, namespace: str) -> bool:
        """Return whether an object is in that namespace or, if it is cluster-scoped, was last placed for it."""
        metadata = item["metadata"]
        return namespace in (metadata.get("namespace"), (metadata.get("labels") or {}).get(self.owner.key(NAMESPACE)))

    def owned(self, namespace: str) -> Iterator[Object]:
        """Yield the owner's objects of every kind in a namespace, and the cluster-scoped ones that were placed for it."""
        self._discover()
        selector = self.owner.selector
        wide = f"{selector},{self.owner.key(NAMESPACE)}={namespace}"
        for (version, kind), served in self._resources.items():
            if served.listed:
                target = _path(version, served.plural, namespace if served.namespaced else "")
                with self._gone():  # the kind may have been removed since its discovery
                    yield from self._listed(version, kind, target, {"labelSelector": selector if served.namespaced else wide})

    @contextlib.contextmanager
    def _gone(self) -> Iterator[None]:
        """End the block quietly if the API server answers 404."""
        try:
            yield
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise


def connect(
    owner: Owner,
    kubeconfig: str,
    context: str,
    unreachable_hint: str,
    credentials_hint: str,
    own: bool,
    kubectl: str,
    patience: float = PATIENCE,
) -> Kube:
    """Prepare a connection with that kubeconfig and context; send nothing yet. Raises ClusterError if they cannot be used.

    `owner` owns what is applied. The hints are for an API server that does not answer and for one that the kubeconfig does not
    fit. `own`: kubetasks created the cluster: it grants every right and needs no proxy. `kubectl` is the path to print in hints.
    """
    import kubernetes.client
    import kubernetes.config
    import yaml
    from kubernetes.config.config_exception import ConfigException

    configuration = kubernetes.client.Configuration()
    configuration.retries = False  # the waiting loops retry, with a deadline
    load: Any = kubernetes.config.load_kube_config
    try:
        load(kubeconfig or None, context, client_configuration=configuration, persist_config=False)
    except (ConfigException, OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:  # malformed files too
        raise ClusterError(f"The context {context} cannot be used ({kubeconfig}): {error}", unreachable_hint) from error
    if own or is_loopback(configuration.host):  # Go, and so kubectl, uses no proxy for loopback addresses
        configuration.proxy = None
    line = shell.line([kubectl, "--context", context], {"KUBECONFIG": kubeconfig} if kubeconfig else {})
    return Kube(
        kubernetes.client.ApiClient(configuration), owner, context, unreachable_hint, credentials_hint, line, own, patience
    )


def _tls_error(error: BaseException) -> str:
    """Return why one side of TLS does not trust the other; "" for any other failure, such as a closed connection."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError) and any(word in str(cause).upper().replace(" ", "_") for word in TLS_ERRORS):
            # strip what Python's ssl module adds: its error code, and the location in the C source
            return re.sub(r"^\[[^]]*\] | \(_ssl.*", "", " ".join(str(cause).split()))
    return ""

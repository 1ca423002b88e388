"""Read and check the application's manifests, and adapt them to one cluster."""

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetasks.errors import ProgramError, SettingError
from kubetasks.kube import generated, kubectl, template
from kubetasks.kube.client import Object, describe, within
from kubetasks.kube.kinds import CLAIM, DEFINITION, ORDER
from kubetasks.kube.service import is_internal, unselected
from kubetasks.project import files
from kubetasks.project.application import MADE, Application
from kubetasks.project.labels import Owner
from kubetasks.terminal import shell

Edit = Mapping[str, object]  # one operation of a JSON patch

SUFFIXES = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
CHART = "Chart.yaml"
GENERATION_SECONDS = 120  # a kustomization may name remote resources
TTL_SECONDS = "ttlSecondsAfterFinished"


@dataclass(frozen=True)
class Manifest:
    """An object as it was written. `file` contains it alone; None if it was generated, or shares its file with others."""

    item: Object
    file: Path | None = None

    @property
    def name(self) -> str:
        """The object's name as kubectl prints it: deployment/NAME."""
        return describe(self.item)

    @property
    def text(self) -> str:
        """The object as YAML if it has no file, otherwise ""."""
        import yaml

        return "" if self.file else str(yaml.safe_dump(self.item, sort_keys=False))


def of_application(app: Application, namespace: str = "default") -> list[Manifest]:
    """Return the application's manifests in the order to apply them: its own deployment last but one, its service last.

    `namespace` is passed to a chart. Raises SettingError if they cannot be read, have an object twice, or lack the deployment.
    """
    if app.manifests is None:
        manifests = [Manifest(generated.deployment(app)), Manifest(generated.service(app))]
    elif is_generated(app.manifests):
        manifests = [Manifest(item) for item in _items(_generated(app.manifests, app.name, namespace), app.manifests)]
    else:
        manifests = _in(app.manifests)
    where = app.manifests or "What is generated"
    names = [manifest.name for manifest in manifests]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise SettingError(f"{where} has {twice} twice.", "Remove one: all objects are applied to one namespace")
    own = (app.deployment, app.service)
    if app.deployment not in names:
        raise SettingError(f"{where} has no {app.deployment}.", f"Name the application's deployment {app.name}; or {MADE}")

    def sort_key(manifest: Manifest) -> tuple[int, int]:
        return own.index(manifest.name) + 1 if manifest.name in own else 0, order(manifest.item)

    return sorted(manifests, key=sort_key)


def named(given: Sequence[Manifest], name: str) -> Object:
    """Return the object with that name (see `Manifest.name`), or {}."""
    return next((manifest.item for manifest in given if manifest.name == name), {})


def makes_claims(item: Object) -> bool:
    """Return whether the object is a volume claim, or has volume claim templates."""
    return item["kind"] == CLAIM or "volumeClaimTemplates" in within(item, "spec")


def defined(item: Object) -> tuple[str, str]:
    """Return the group and the kind that a CustomResourceDefinition defines; "" for what is missing, and for other objects."""
    spec = within(item, "spec") if item["kind"] == DEFINITION else {}
    return str(spec.get("group", "")), str(within(spec, "names").get("kind", ""))


def order(item: Object) -> int:
    """Return the rank of the object's kind in the order of applying; kinds that others need come first."""
    return ORDER.get(item["kind"], len(ORDER))


def _in(folder: Path) -> list[Manifest]:
    manifests = []
    for file in sorted(folder.iterdir()):
        if file.suffix in SUFFIXES:
            items = read(file)
            manifests += [Manifest(item, file if len(items) == 1 else None) for item in items]
    return manifests


def is_generated(folder: Path) -> bool:
    """Return whether the folder is a kustomization or a Helm chart."""
    return any((folder / name).exists() for name in (*KUSTOMIZATIONS, CHART))


def _generated(folder: Path, name: str, namespace: str) -> str:
    """Render a kustomization with kubectl, or a chart with helm, without its hooks. Raises SetupError, SettingError."""
    program, words = kubectl.path() or "kubectl", ["kustomize", str(folder)]
    if (folder / CHART).exists():
        program, words = "helm", ["template", name, str(folder), f"--namespace={namespace}", "--include-crds", "--no-hooks"]
        if not shutil.which(program):
            raise SettingError(f"{folder} is a Helm chart, and helm is not on PATH.", "Install helm: https://helm.sh")
    try:
        return shell.run([program, *words], timeout=GENERATION_SECONDS)
    except ProgramError as error:
        command = shell.line([Path(program).name, *words])
        raise SettingError(f"{folder} cannot be rendered: {error.output.strip()}", command) from error


def read(path: Path) -> list[Object]:
    """Return the objects of a manifest file. Raises SettingError if it is not a valid one."""
    return _items(files.text(path), path)


def _items(text: str, path: Path) -> list[Object]:
    documents = [item for item in files.yaml_documents(text, path) if item]
    lists = [within(item).get("items") if within(item).get("kind") == "List" else None for item in documents]
    items = [one for item, inner in zip(documents, lists, strict=True) for one in (inner if isinstance(inner, list) else [item])]
    for item in items:
        if problem := _misshapen(item):
            raise SettingError(f"{path}: {problem}.", "Fix the file")
    return items


def _misshapen(item: Any) -> str:
    """Return why a document is not the manifest of an object, or "" if these few checks find nothing wrong."""
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict) or not all(
        isinstance(word, str) and word for word in (item.get("apiVersion"), item.get("kind"), metadata.get("name"))
    ):
        return "each object needs apiVersion, kind and metadata.name, as text"
    try:
        json.dumps(item, sort_keys=True)
    except TypeError:
        return f"{describe(item)} has a date or a key that is not a string: quote it"
    return ""


def owned(item: Object, owner: Owner) -> Object:
    """Return a copy with the owner's label."""
    item = copy.deepcopy(item)
    item["metadata"]["labels"] = {**within(item, "metadata", "labels"), **owner.labels}
    return item


def containers(item: Object, app: Application) -> dict[str, tuple[str, str]]:
    """Return the object's containers that run the application's images, by name: path in the object, and image repository.

    The application's own image runs in its deployment's only container, or the one with its name. Each of its images runs where
    a container's image is NAME or NAME:TAG. Raises SettingError if its deployment has no such container.
    """
    places, own = dict[str, tuple[str, str]](), describe(item) == app.deployment
    ours = {source.name for source in app.sources}
    for place, _, pod in template.of(item):
        for group in ("initContainers", "containers"):
            for index, container in enumerate(pod.get(group) or []):
                main = own and group == "containers" and (container["name"] == app.name or len(pod[group]) == 1)
                written = str(container.get("image")).removeprefix("docker.io/").removeprefix("library/")
                named = app.name if main else written.partition(":")[0]
                if named in ours:
                    places[str(container["name"])] = f"{place}/spec/{group}/{index}", named
    if own and not any("/containers/" in place for place, _ in places.values()):
        raise SettingError(f"{describe(item)} in {app.manifests} has no container {app.name}.", "Fix the file")
    return places


def other_images(manifests: Sequence[Manifest], app: Application) -> list[str]:
    """Return the images of the containers that run none of the application's, except those that are always pulled."""
    named = [
        str(container.get("image") or "")
        for item in (manifest.item for manifest in manifests)
        for container in template.containers(item)
        if container["name"] not in containers(item, app) and container.get("imagePullPolicy") != "Always"
    ]
    return list(dict.fromkeys(filter(None, named)))


def image_edits(item: Object, place: str, reference: str, pull_policy: str) -> list[Edit]:
    """Return the edits that set the image and the pull policy of the container at that path."""
    edits: list[Edit] = [{"op": "add", "path": f"{place}/image", "value": reference}]
    if _at(item, place).get("imagePullPolicy") != pull_policy:
        edits.append({"op": "add", "path": f"{place}/imagePullPolicy", "value": pull_policy})
    return edits


def edits(item: Object, app: Application, configuration: Sequence[Object]) -> list[Edit]:
    """Return an object's other edits: add a digest of the configuration that its pods name, so that a change of it replaces them;
    label the application's own pods, and claim templates; remove ttlSecondsAfterFinished; `_own_edits`. Raises SettingError.
    """
    operations: list[Edit] = []
    for place, metadata, pod in template.of(item):
        named = [part for part in configuration if json.dumps(part["metadata"]["name"]) in json.dumps(pod)]
        wanted = {"annotations": {app.owner.key("configuration"): digest(named)}} if named else {}
        if describe(item) == app.deployment:
            operations += _own_edits(item, app)
            wanted["labels"] = dict([app.selector.split("=")])
        added = {key: {**within(metadata, key), **values} for key, values in wanted.items()}
        missing = {key: values for key, values in added.items() if values != metadata.get(key)}
        if metadata:
            operations += [{"op": "add", "path": f"{place}/metadata/{key}", "value": values} for key, values in missing.items()]
        elif missing:
            operations.append({"op": "add", "path": f"{place}/metadata", "value": missing})
        claims = item["spec"].get("volumeClaimTemplates")
        for index, claim in enumerate(claims if isinstance(claims, list) else []):
            if not isinstance(claim, dict):
                continue  # the API server reports it
            labelled = owned({"metadata": within(claim, "metadata")}, app.owner)["metadata"]
            operations.append({"op": "add", "path": f"/spec/volumeClaimTemplates/{index}/metadata", "value": labelled})
        if TTL_SECONDS in item["spec"]:
            operations.append({"op": "remove", "path": f"/spec/{TTL_SECONDS}"})
    return operations


def _own_edits(item: Object, app: Application) -> list[Edit]:
    """Return the edits that only the application's own deployment gets: remove its replicas, which only `scale` sets.

    Raises SettingError if the tasks would not find its pods, or if the ports that it declares lack the application's.
    """
    key, _, value = app.selector.partition("=")
    selected = within(item, "spec", "selector", "matchLabels")
    if selected.get(key, value) != value:
        raise SettingError(
            f"{app.deployment} in {app.manifests} selects {key}={selected[key]}, and the tasks find its pods by {app.selector}.",
            f"Set {key} to {value} in the selector, the template and the service, or use another label",
        )
    places = [place for place, name in containers(item, app).values() if "/containers/" in place and name == app.name]
    ports = [_at(item, place).get("ports") for place in places]
    declared = [within(port).get("containerPort", app.port) for each in ports if isinstance(each, list) for port in each]
    if declared and app.port not in declared:
        message = f"{app.deployment} in {app.manifests} declares port {', '.join(map(str, declared))}"
        raise SettingError(f"{message}, and the application's is {app.port}.", "Make `port` and its containerPort the same")
    return [{"op": "remove", "path": "/spec/replicas"}] if "replicas" in item["spec"] else []


def digest(value: object) -> str:
    """Return the first 12 hex digits of the SHA-256 of the value's JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def service_edits(item: Object, app: Application, node_port: int | None) -> list[Edit]:
    """Return the edits of the application's service: set `node_port`, if given, on its first port, the application's.

    A cluster-internal service gets none. Raises SettingError if the service has no port or is an ExternalName.
    """
    name, spec = f"{describe(item)} in {app.manifests}", within(item, "spec")
    ports = spec.get("ports")
    if spec.get("type") == "ExternalName":
        raise SettingError(f"{name} is an ExternalName: it sends requests to no pod.", "type: ClusterIP")
    if not isinstance(ports, list) or not ports or not isinstance(ports[0], dict):
        raise SettingError(f"{name} has no port.", "Fix the file")
    numbered = node_port and not is_internal(item)
    return [{"op": "add", "path": "/spec/ports/0/nodePort", "value": node_port}] if numbered else []


def require_selected(given: Sequence[Manifest], app: Application) -> None:
    """Raise SettingError if the application's service selects no pod of its deployment, or no port of its containers."""
    key, _, value = app.selector.partition("=")
    labels = within(named(given, app.deployment), "spec", "template", "metadata", "labels")
    if missing := unselected(named(given, app.service), {"metadata": {"labels": {**labels, key: value}}}):
        message = f"{app.service} in {app.manifests} selects no pod of {app.deployment}: its pods lack {missing}"
        raise SettingError(f"{message}.", "Fix the selector of the service")
    target = within(named(given, app.service), "spec").get("ports", [{}])[0].get("targetPort")
    ports = [container.get("ports") for container in template.containers(named(given, app.deployment))]
    names = [within(port).get("name") for several in ports if isinstance(several, list) for port in several]
    if isinstance(target, str) and target not in names:
        message = f"{app.service} in {app.manifests} has the targetPort {target}, and no container of {app.deployment} has"
        raise SettingError(f"{message} a port of that name.", "Fix targetPort, or name the container's port")


def edited(item: Object, edits: Sequence[Edit]) -> Object:
    """Return a copy with these edits applied; the parents of their paths must exist."""
    item = copy.deepcopy(item)
    for edit in edits:
        parent, _, last = str(edit["path"]).rpartition("/")
        place = _at(item, parent)
        if edit["op"] == "remove":
            del place[last]
        else:
            place[last] = edit["value"]
    return item


def _at(item: Object, path: str) -> Any:
    """Return the value at a JSON pointer, which must have no escapes."""
    place: Any = item
    for part in path.strip("/").split("/"):
        place = place[int(part)] if isinstance(place, list) else place[part]
    return place

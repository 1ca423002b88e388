"""The complete objects that a task wants, and the commands that apply them. Pure functions."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import SettingError
from kubetasks.kube import kinds, manifests
from kubetasks.kube.client import Object, within
from kubetasks.kube.manifests import Edit, Manifest
from kubetasks.project import files
from kubetasks.project.application import MADE, MANIFESTS, Application
from kubetasks.project.labels import OWNER_LABEL
from kubetasks.project.words import DOCS
from kubetasks.terminal import shell


@dataclass(frozen=True)
class Desired:
    """What a task wants: deployments that run the images (the application's own first), a service, a number of replicas. What is
    left out stays as it is.

    Or it wants to go `back` to an earlier revision, or something to be `gone`: the "service", or the "deployment" with everything
    applied with it, and its "volumes" too.
    """

    images: Sequence[Image] = ()
    exposed: bool = False
    replicas: int | None = None
    back: bool = False
    gone: frozenset[str] = frozenset()

    @property
    def rolls_out(self) -> bool:
        """Whether pods may be created or deleted."""
        return bool(self.images) or self.replicas is not None or self.back

    def stages(self, *, deployed: bool) -> "list[Desired]":
        """Return the stages, each complete before the next starts: service and replicas stay as they are until the images run.

        One stage is enough without images, or if nothing is deployed that a failure could disrupt.
        """
        if not (deployed and self.images):
            return [self]
        parts = (Desired(self.images), Desired(exposed=self.exposed), Desired(replicas=self.replicas))
        return [part for part in parts if part != Desired()]

    def text(self, changed: bool) -> str:
        """Return the text to show until the rollout is complete."""
        if self.images:
            named = ", ".join(image.reference for image in self.images)
            return f"Rolling out {named}" if changed else f"{named} {'are' if len(self.images) > 1 else 'is'} deployed"
        return f"Scaling to {self.replicas}" if changed else f"Already scaled to {self.replicas}"


@dataclass(frozen=True)
class Place:
    """What the objects need to know about the cluster: how pods name each image, by repository, and the node port that the
    service asks for, or None.
    """

    delivered: Mapping[str, Delivered]
    node_port: int | None


class Part(NamedTuple):
    """A manifest to apply, and the edits to it; `images` maps the containers whose image is edited to the new reference."""

    manifest: Manifest
    edits: list[Edit]
    images: dict[str, str]


def parts(app: Application, given: Sequence[Manifest], wanted: Desired, place: Place) -> list[Part]:
    """Return the wanted manifests with their edits, in the order of applying. Raises SettingError if one does not fit."""
    configuration = [manifest.item for manifest in given if manifest.item["kind"] in kinds.CONFIGURATION]
    chosen = []
    for manifest in given:
        item, edits, images = manifest.item, list[Edit](), dict[str, str]()
        if manifest.name == app.service:
            if wanted.exposed:
                chosen.append(Part(manifest, manifests.service_edits(item, app, place.node_port), images))
                manifests.require_selected(given, app)
            continue
        if not place.delivered:
            continue
        for name, (pointer, image) in manifests.containers(item, app).items():
            delivered = place.delivered[image]
            images[name] = delivered.reference
            edits += manifests.image_edits(item, pointer, delivered.reference, delivered.pull_policy)
        edits += manifests.edits(item, app, configuration)
        chosen.append(Part(manifest, edits, images))
    if wanted.exposed and app.service not in [manifest.name for manifest in given]:
        raise SettingError(f"{app.manifests} has no {app.service}.", f"Name the application's service {app.name}; or {MADE}")
    return chosen


def check(app: Application, given: Sequence[Manifest], *, exposed: bool = False) -> None:
    """Raise SettingError if a manifest does not fit or an image is not used, before anything is built or created."""
    delivered = {source.name: Delivered(source.tag, pulled=False) for source in app.sources}
    parts(app, given, Desired(exposed=exposed), Place(delivered, None))
    run = {name for manifest in given for _, name in manifests.containers(manifest.item, app).values()}
    if idle := [source.name for source in app.sources if source.name not in run]:
        where = f"no container in {app.manifests}" if app.manifests else f"there is no {MANIFESTS}/ with a container that"
        raise SettingError(
            f"The table builds {', '.join(idle)}, and {where} runs it.",
            f"A container needs `image: {idle[0]}`, or remove {idle[0]} from the table: {DOCS}/application.md#several-images",
        )


def item_of(part: Part, app: Application) -> Object:
    """Return the object to apply, edited and labelled, but not yet placed in the namespace."""
    return manifests.owned(manifests.edited(part.manifest.item, part.edits), app.owner)


def command_of(part: Part, app: Application, folder: Path, flags: Sequence[str]) -> str:
    """Return the equivalent command, to be run in the project's folder; `flags` are kubectl's."""
    manifest, edits, images = part
    if manifest.item["kind"] == kinds.SECRET and not manifest.file:
        return f"# {manifest.name} is applied too; its file has other objects, and its values are not shown"
    file = "-" if manifest.file is None else files.shown(manifest.file, folder)
    overwrite = " --overwrite" if OWNER_LABEL in within(manifest.item, "metadata", "labels") else ""  # a chart sets it to Helm
    stages = [f"kubectl label --local{overwrite} -f {shlex.quote(file)} {app.owner.selector} -o yaml"]
    if manifest.text:
        stages[0] += " <<'EOF'"
    if images:
        chosen = shlex.join(f"{name}={image}" for name, image in images.items())
        stages.append(f"kubectl set image --local -f - {chosen} -o yaml")
    if others := [edit for edit in edits if not str(edit["path"]).endswith("/image")]:
        stages.append(f"kubectl patch --local -f - --type=json -o yaml -p {shlex.quote(json.dumps(others))}")
    apply = ["apply", "--server-side", "--force-conflicts", f"--field-manager={app.owner.name}", "-f", "-"]
    stages.append(shell.line(["kubectl", *flags, *apply]))
    return " | ".join(stages) + (f"\n{manifest.text}EOF" if manifest.text else "")

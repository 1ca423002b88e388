"""The objects that a task wants, whole, and the commands that apply them: pure functions."""

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
    """A deployment that runs the first of the images, with what runs the others, a service, so many pods; whatever is left out
    stays as it is.

    Or: `back`, the revision before, or that something is `gone`: the "service", the "deployment" with what came with it,
    "volumes" too.
    """

    images: Sequence[Image] = ()
    exposed: bool = False
    replicas: int | None = None
    back: bool = False
    gone: frozenset[str] = frozenset()

    @property
    def rolls_out(self) -> bool:
        """Whether pods may come or go."""
        return bool(self.images) or self.replicas is not None or self.back

    def stages(self, *, deployed: bool) -> "list[Desired]":
        """Its parts, each complete before the next begins: what serves stays as it is until the images are known to run.

        If nothing is deployed, nothing could suffer from what fails.
        """
        if not (deployed and self.images):
            return [self]
        parts = (Desired(self.images), Desired(exposed=self.exposed), Desired(replicas=self.replicas))
        return [part for part in parts if part != Desired()]

    def text(self, changed: bool) -> str:
        """The text to show until the rollout is complete."""
        if self.images:
            named = ", ".join(image.reference for image in self.images)
            return f"Rolling out {named}" if changed else f"{named} {'are' if len(self.images) > 1 else 'is'} deployed"
        return f"Scaling to {self.replicas}" if changed else f"Already scaled to {self.replicas}"


@dataclass(frozen=True)
class Place:
    """The place for the objects: how pods name each image, by its repository, and the service's node port, if it asks
    for one.
    """

    delivered: Mapping[str, Delivered]
    node_port: int | None


class Part(NamedTuple):
    """A manifest that is wanted, and what is changed in it; `images` are those of its containers that change, by name."""

    manifest: Manifest
    edits: list[Edit]
    images: dict[str, str]


def parts(app: Application, given: Sequence[Manifest], wanted: Desired, there: Place) -> list[Part]:
    """Those of the manifests that are wanted, in the order in which they are applied. Raises SettingError if one does not fit."""
    configuration = [manifest.item for manifest in given if manifest.item["kind"] in kinds.CONFIGURATION]
    chosen = []
    for manifest in given:
        item, edits, images = manifest.item, list[Edit](), dict[str, str]()
        if manifest.name == app.service:
            if wanted.exposed:
                chosen.append(Part(manifest, manifests.service_edits(item, app, there.node_port), images))
                manifests.require_selected(given, app)
            continue
        if not there.delivered:
            continue
        for name, (place, image) in manifests.containers(item, app).items():
            delivered = there.delivered[image]
            images[name] = delivered.reference
            edits += manifests.image_edits(item, place, delivered.reference, delivered.pull_policy)
        edits += manifests.edits(item, app, configuration)
        chosen.append(Part(manifest, edits, images))
    if wanted.exposed and app.service not in [manifest.name for manifest in given]:
        raise SettingError(f"{app.manifests} has no {app.service}.", f"Call the application's service {app.name}; or {MADE}")
    return chosen


def check(app: Application, given: Sequence[Manifest], *, exposed: bool = False) -> None:
    """Raises SettingError if one of the manifests does not fit, before anything is built or created for them."""
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
    """The object to apply, without a namespace."""
    return manifests.owned(manifests.edited(part.manifest.item, part.edits), app.owner)


def command_of(part: Part, app: Application, folder: Path, flags: Sequence[str]) -> str:
    """The command that applies the part by hand in the project's folder; `flags` are those of kubectl."""
    manifest, edits, images = part
    if manifest.item["kind"] == kinds.SECRET and not manifest.file:
        return f"# {manifest.name} is applied too; it lies beside others, and its values are not shown"
    file = "-" if manifest.file is None else files.shown(manifest.file, folder)
    overwrite = " --overwrite" if OWNER_LABEL in within(manifest.item, "metadata", "labels") else ""  # a chart has Helm's
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

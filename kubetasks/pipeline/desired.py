"""What a task wants the cluster to have: pure functions to whole objects, and to the commands that apply them."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import SettingError
from kubetasks.kube import kinds, manifests
from kubetasks.kube.client import Object
from kubetasks.kube.manifests import Edit, Manifest
from kubetasks.project.application import MADE, Application
from kubetasks.terminal import shell


@dataclass(frozen=True)
class Desired:
    """A deployment that runs the image, a service, so many pods; whatever is left out stays as it is.

    Or: `back`, the revision before, or that something is `gone`: the "service", the "deployment" with what came with it,
    "volumes" too.
    """

    image: Image | None = None
    exposed: bool = False
    replicas: int | None = None
    back: bool = False
    gone: frozenset[str] = frozenset()

    @property
    def rolls_out(self) -> bool:
        """Whether pods may come or go."""
        return self.image is not None or self.replicas is not None or self.back

    def stages(self, *, deployed: bool) -> "list[Desired]":
        """Its parts, each complete before the next begins: what serves stays as it is until the image is known to run.

        If nothing is deployed, nothing could suffer from what fails.
        """
        if not (deployed and self.image):
            return [self]
        parts = (Desired(image=self.image), Desired(exposed=self.exposed), Desired(replicas=self.replicas))
        return [part for part in parts if part != Desired()]

    def text(self, changed: bool) -> str:
        """What is shown until the rollout is complete."""
        if self.image:
            return f"Rolling out {self.image.reference}" if changed else f"{self.image.reference} is deployed"
        return f"Scaling to {self.replicas}" if changed else f"Already scaled to {self.replicas}"


@dataclass(frozen=True)
class Place:
    """What is known of where it is wanted: how pods name the image, and the service's node port, if it asks for one."""

    delivered: Delivered | None
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
            continue
        if not there.delivered:
            continue
        images = dict.fromkeys(manifests.containers(item, app), there.delivered.reference)
        edits = manifests.image_edits(item, app, there.delivered.reference, there.delivered.pull_policy)
        edits += manifests.edits(item, app, configuration)
        chosen.append(Part(manifest, edits, images))
    if wanted.exposed and app.service not in [manifest.name for manifest in given]:
        raise SettingError(f"{app.manifests} has no {app.service}.", f"Call the application's service {app.name}; or {MADE}")
    return chosen


def check(app: Application, given: Sequence[Manifest], *, exposed: bool = False) -> None:
    """Raises SettingError if one of the manifests does not fit, before anything is built or created for them."""
    parts(app, given, Desired(exposed=exposed), Place(Delivered(app.tutorial_tag, pulled=False), None))


def item_of(part: Part, app: Application) -> Object:
    """The object to apply, without a namespace."""
    return manifests.owned(manifests.edited(part.manifest.item, part.edits), app.owner)


def command_of(part: Part, app: Application, flags: Sequence[str]) -> str:
    """What applies the part by hand; `flags` are those of kubectl."""
    manifest, edits, images = part
    if manifest.item["kind"] == kinds.SECRET and not manifest.file:
        return f"# {manifest.name} is applied too; it lies beside others, and its values are not shown"
    file = "-" if manifest.file is None else str(manifest.file)
    if manifest.file and not app.dockerfile and manifest.file.is_relative_to(app.source):  # the source is the project's folder
        file = str(manifest.file.relative_to(app.source))
    stages = [f"kubectl label --local -f {shlex.quote(file)} {app.owner.selector} -o yaml"]
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

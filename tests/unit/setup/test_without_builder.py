"""Without the package that builds images, those that are pulled still install."""

import subprocess
import sys
from pathlib import Path

from tasks import PROJECT

HIDDEN = """
import dataclasses, sys
from pathlib import Path

sys.modules["nodeimages"] = None  # as if the folder were not there

from kubetasks.setup import requirements
from kubetasks.engine import client
from kubetasks.project import settings
from kubetasks.setup import downloads, engine as machine_engine, install, inventory
from kubetasks.terminal.report import Report
from tasks import PROJECT


class Pulled:
    images = set()

    def image_id(self, reference):
        return "sha256:1" if reference in self.images else None

    def pull(self, reference, on_line):
        self.images.add(reference)


def download(url, sha256, target, report):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(url)


machine_engine.release = lambda: "28.0.4"
client.connect = Pulled
downloads.file = download
wanted = dataclasses.replace(settings.read(PROJECT, settings.DEFAULTS, {}), images="pull", cache=Path(sys.argv[1]))
needed = requirements.KIND, requirements.KIND_NODE_IMAGE, requirements.LOAD_BALANCER
assert install.install(wanted, Report(), needed)
assert inventory.missing(wanted, needed) == []
assert "nodeimages" in install._unbuildable(needed)
print(*sorted(Pulled.images), sep="\\n")
"""


def test_without_the_builder_what_is_pulled_still_installs(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", HIDDEN, tmp_path], cwd=PROJECT.folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    node, base = ended.stdout.splitlines()
    assert node.startswith("kindest/node:")
    assert base.startswith("python:")

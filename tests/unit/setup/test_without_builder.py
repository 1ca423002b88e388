"""Without what lies beside the package, images that are pulled still install, and an engine is asked for."""

import subprocess
import sys
from pathlib import Path

from tasks import PROJECT

HIDDEN = """
import dataclasses, sys
from pathlib import Path

sys.modules["nodeimages"] = sys.modules["hostengine"] = None  # as if the folders were not there

from kubetasks.engine import client
from kubetasks.errors import EngineError
from kubetasks.project import settings
from kubetasks.setup import downloads, install, inventory, requirements
from kubetasks.terminal.report import Report
from tasks import PROJECT


class Pulled:
    images = set()

    def require_usable(self):
        pass

    def image_id(self, reference):
        return "sha256:1" if reference in self.images else None

    def pull(self, reference, on_line):
        self.images.add(reference)


def download(url, sha256, target, report, program):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(0o755)


wanted = dataclasses.replace(settings.read(PROJECT, settings.DEFAULTS, {}), images="pull", cache=Path(sys.argv[1]))
needed = requirements.KIND, requirements.KIND_NODE_IMAGE, requirements.LOAD_BALANCER
client.release = lambda: None
try:
    install.install(wanted, Report(), needed)
except EngineError as error:
    assert error.sentence == "No container engine answers.", error
engine = inventory.look(wanted, needed)[0]
assert (engine.detail, engine.remedy) == ("none answers", f"Start it, or install one: {inventory.INSTALL_DOCKER}")

client.release = lambda: "28.0.4"
client.connect = Pulled
downloads.file = download
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

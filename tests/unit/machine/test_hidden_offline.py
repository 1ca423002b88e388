"""Without the package that builds images, those that are pulled still install."""

import subprocess
import sys
from pathlib import Path

from kubetasks.application import PROJECT

HIDDEN = """
import dataclasses, sys
from pathlib import Path

sys.modules["kubetasks.offline"] = None  # as if the folder were not there

from kubetasks import artifacts, engine, needs, settings
from kubetasks.machine import downloads, engine as machine_engine, install, inventory
from kubetasks.report import Report


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
engine.connect = Pulled
downloads.file = download
wanted = dataclasses.replace(settings.read(settings.DEFAULTS, {}), images="pull", cache=Path(sys.argv[1]))
needed = needs.KIND, needs.KIND_NODE_IMAGE, needs.LOAD_BALANCER
assert install.install(wanted, Report(), needed)
assert inventory.missing(wanted, needed) == []
print(*sorted(Pulled.images), sep="\\n")
"""


def test_the_pull_path_runs_with_offline_hidden(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", HIDDEN, tmp_path], cwd=PROJECT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    node, base = ended.stdout.splitlines()
    assert node.startswith("kindest/node:")
    assert base.startswith("python:")

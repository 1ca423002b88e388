"""The README's own commands, typed in a fresh clone: three pods answer, kubectl sees them, and then nothing is left."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tasks import PROJECT
from tests.support import answers, driver, leftovers
from tests.support.answers import REQUESTS
from tests.support.driver import Tasks, docker

README = (PROJECT.folder / "README.md").read_text()
START, TRAFFIC, CLEAN = "./inv setup build deploy expose scale", "./inv traffic", "./inv clean --all"
KUBECTL = "export KUBECONFIG=$(./inv kubeconfig)\n    .venv/bin/kubectl get pods"


def clone(folder: Path) -> Path:
    """Copy what a commit of the working tree would hold."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=PROJECT.folder, text=True
    )
    for name in filter(None, listed.split("\0")):
        if (PROJECT.folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT.folder / name, folder / name)
    return folder


def test_the_quick_start_of_the_readme(tmp_path: Path, throwaway: Tasks, alone_from_here: Callable[[], None]) -> None:
    project = clone(tmp_path)
    paths = [path for path in os.environ["PATH"].split(os.pathsep) if Path(path) != Path(sys.executable).parent]
    environment = throwaway.environment | {"PATH": os.pathsep.join(paths)}

    def typed(line: str) -> str:
        """What a line prints on the terminal of somebody who types it."""
        ended = driver.run(["bash", "-euc", line], project, environment)
        assert ended.code == 0, f"{line}\n{ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    for line in (START, TRAFFIC, CLEAN, KUBECTL):
        assert re.search(rf"^    (\$ )?{re.escape(line)}( |$)", README, re.MULTILINE), f"README does not have {line}"

    said = typed(START)
    urls = re.findall(r"^  (http://\S+) \(", said, re.MULTILINE)
    assert urls[0] == f"http://127.0.0.1:{throwaway.port}/"
    assert len(urls) == 2, "the load balancer's address too"
    for url in urls:
        answered = answers.spread(url, REQUESTS)
        assert (len(answered.requests), answered.failed) == (3, 0), url
    pods = set(answered.requests)

    table = [line.split() for line in typed(TRAFFIC).splitlines() if line.startswith(f"{PROJECT.application.name}-")]
    assert {row[0] for row in table} == pods
    assert sum(int(row[1]) for row in table) == 60

    listed = [line.split() for line in typed(KUBECTL).splitlines() if line.startswith(f"{PROJECT.application.name}-")]
    assert {row[0]: row[2] for row in listed} == dict.fromkeys(pods, "Running")

    alone_from_here()
    assert "Clean.\n" in typed(CLEAN)
    assert answers.silent(urls[0])  # the other one's network is gone
    assert throwaway.cluster not in leftovers.our_clusters()
    for what in (("ps", "--all"), ("network", "ls"), ("volume", "ls")):
        assert docker(*what, "--quiet", f"--filter=name={throwaway.cluster}") == ""
    assert docker("images", "--quiet", PROJECT.application.name) == ""
    assert list((project / ".state").glob("*")) == []

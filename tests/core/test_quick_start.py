"""The README's own commands, typed in a fresh clone: they print what it shows, three pods answer, and then nothing is left."""

import platform

import pytest

from tasks import PROJECT
from tests.support import answers, leftovers
from tests.support.answers import REQUESTS
from tests.support.driver import Tasks, docker
from tests.support.fixtures import TypePage

README = PROJECT.folder / "README.md"


@pytest.mark.promise(
    "Build a small Python server, run it",
    "Clone this repository",
    "Open the first address",
    "To remove the service, the deployment",
    "[kind](https://kind.sigs.k8s.io) creates the cluster",
    "Its node is a container",
    "reload the page, see another pod answer",
    "the whole clean-up",
)
@pytest.mark.long
def test_the_quick_start_of_the_readme(throwaway: Tasks, type_page: TypePage) -> None:
    addresses: dict[str, str] = {}

    def three_pods_answer(tasks: Tasks) -> None:
        addresses.update(tasks.addresses())
        assert addresses == tasks.printed()
        assert (addresses["mapped port"], len(addresses)) == (f"http://127.0.0.1:{tasks.port}/", 2)
        for url in addresses.values():
            answered = answers.spread(url, REQUESTS)
            assert (len(answered.requests), answered.failed) == (3, 0), url
        (node,) = tasks.get("nodes")["items"]
        containers = docker("ps", "--format={{.Names}}", f"--filter=label=io.x-k8s.kind.cluster={throwaway.cluster}")
        assert containers.split() == [node["metadata"]["name"]], "kind created it, and its node is a container"
        assert node["status"]["nodeInfo"]["kernelVersion"] == platform.release(), "of this machine, not of a virtual one"

    tasks = type_page(README, three_pods_answer)
    assert answers.silent(addresses["mapped port"])  # the other address's network is gone
    assert throwaway.cluster not in leftovers.our_clusters()
    for what in (("ps", "--all"), ("network", "ls"), ("volume", "ls")):
        assert docker(*what, "--quiet", f"--filter=name={throwaway.cluster}") == ""
    assert docker("images", "--quiet", tasks.app) == ""
    assert list((tasks.folder / ".state").glob("*")) == []

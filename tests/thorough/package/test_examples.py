"""The example applications, used as their READMEs say, with the package installed from its wheel."""

import dataclasses
import re

import pytest

from kubetasks.testing.cluster import Cluster
from tasks import PROJECT
from tests.support import answers
from tests.support.driver import docker
from tests.thorough.package.conftest import Begin, namespaces

EXAMPLES = PROJECT.folder / "examples"
KIND = """\
nodes: [{labels: {tier: edge}, extraMounts: [{hostPath: k8s, containerPath: /theirs}]}]
featureGates: {HPAScaleToZero: true}
networking: {podSubnet: 10.42.0.0/16}
"""


@pytest.mark.long
@pytest.mark.usefixtures("throwaway")  # takes a place, because the test creates a cluster
def test_an_application_of_several_images_with_a_database_a_queue_and_a_migration(begin: Begin) -> None:
    shop = begin(EXAMPLES / "shop", "shop")
    (shop.folder / "kind.yaml").write_text(KIND)
    table = shop.folder / "pyproject.toml"
    table.write_text(table.read_text().replace("health =", 'kind = "kind.yaml"\nhealth ='))
    told = shop.tested("--kubetasks-keep")
    assert "3 passed" in told, "its own tests"
    kept = re.search(r"Kept cluster (\S+): .*\n  (.* delete) removes it\n", told)
    assert kept
    shop = dataclasses.replace(shop, variables=shop.variables | {"INVOKE_KUBETASKS_CLUSTER_NAME": kept[1]})

    url = shop.typed("up").splitlines()[0]
    kubectl = "kubectl --kubeconfig=$(kubetasks kubeconfig)"
    node = shop.shell(f"{kubectl} get nodes --output=jsonpath='{{.items[*].spec.podCIDR}} {{.items[*].metadata.labels.tier}}'")
    assert node == "10.42.0.0/24 edge", "kind's own configuration is kept"
    assert 'name="HPAScaleToZero"' in shop.shell(f"{kubectl} get --raw /metrics | grep '^kubernetes_feature_enabled.* 1$'")
    assert docker("exec", f"{kept[1]}-control-plane", "ls", "/theirs").split() == sorted(
        path.name for path in (shop.folder / "k8s").iterdir()
    )

    assert "60 of 60 requests" in shop.typed("traffic")
    again = shop.typed("up")
    assert "Replacing job/migrate" not in again, "it has run, and nothing has changed"
    assert "are deployed" in again

    main = shop.folder / "api" / "main.go"
    main.write_text(main.read_text().replace("CREATE TABLE", "CREATE TABEL"))
    job = shop.folder / "k8s" / "migrate.yaml"
    job.write_text(job.read_text().replace("backoffLimit: 3", "backoffLimit: 0"))
    told = shop.typed("up", code=6)
    assert f"Building {shop.name}-api:" in told
    assert f"Building {shop.name}:" not in told, "what was not edited"
    assert "job/migrate failed: Job has reached the specified backoff limit." in told
    assert 'syntax error at or near "TABEL"' in told, "the last lines of its log"
    assert '{"orders": ' in answers.text(f"{url}orders"), "what was there before still serves"
    main.write_text(main.read_text().replace("CREATE TABEL", "CREATE TABLE"))

    password = shop.folder / "k8s" / "database.env"
    password.write_text(f"{password.read_text()}OTHER=1\n")
    assert "Rolling out" in shop.typed("build", "deploy"), "another configuration replaces the pods"
    told = shop.typed("clean", "--volumes")
    assert "Kept" not in told
    listed = f"get all,pvc,ingress,secrets,configmaps --selector=app.kubernetes.io/managed-by=kubetasks-{shop.name} --output=name"
    assert shop.shell(f"{kubectl} {listed} && echo none") == "none\n"
    assert shop.name not in shop.shell(f"docker exec {kept[1]}-control-plane crictl images"), "the nodes keep none either"
    shop.shell(kept[2])
    assert shop.typed("clean", "--all").splitlines()[-1] == "Clean."
    assert shop.left() == ""


def test_the_clocks_own_tests_pass_on_a_cluster_of_others_which_keeps_what_it_has(
    begin: Begin, k8s_cluster: Cluster, on: dict[str, str]
) -> None:
    clock = begin(EXAMPLES / "clock", "clock")
    assert "2 passed" in clock.tested("-n2", on=on)
    assert clock.left() == ""
    assert namespaces(k8s_cluster, clock) == []
    assert "namespace/metallb-system" in namespaces(k8s_cluster), "the cluster and what others have in it stay"

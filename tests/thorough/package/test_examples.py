"""The example applications, as their READMEs say, with the package from its wheel."""

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
@pytest.mark.usefixtures("throwaway")  # for the place
def test_an_application_with_a_database_and_a_job(begin: Begin) -> None:
    visits = begin(EXAMPLES / "visits", "visits")
    (visits.folder / "kind.yaml").write_text(KIND)
    with (visits.folder / "invoke.yaml").open("a") as table:
        table.write("  kind: kind.yaml\n")
    told = visits.tested("-n2", "--kubetasks-keep")
    assert "2 passed" in told, "its own tests"
    kept = re.search(r"Kept cluster (\S+): .*\n  (.* delete) removes it\n", told)
    assert kept
    visits = dataclasses.replace(visits, variables=visits.variables | {"INVOKE_KUBETASKS_CLUSTER_NAME": kept[1]})

    url = visits.typed("up").splitlines()[0]
    kubectl = "kubectl --kubeconfig=$(kubetasks kubeconfig)"
    node = visits.shell(f"{kubectl} get nodes --output=jsonpath='{{.items[*].spec.podCIDR}} {{.items[*].metadata.labels.tier}}'")
    assert node == "10.42.0.0/24 edge", "kind's own configuration is kept"
    assert 'name="HPAScaleToZero"' in visits.shell(f"{kubectl} get --raw /metrics | grep '^kubernetes_feature_enabled.* 1$'")
    assert docker("exec", f"{kept[1]}-control-plane", "ls", "/theirs").split() == sorted(
        path.name for path in (visits.folder / "k8s").iterdir()
    )

    assert "60 of 60 requests" in visits.typed("traffic")
    assert '"count": ' in answers.text(url)
    again = visits.typed("up")
    assert "Replacing job/migrate" not in again, "it has run, and nothing has changed"
    assert "is deployed" in again

    main = visits.folder / "main.go"
    main.write_text(main.read_text().replace("CREATE TABLE", "CREATE TABEL"))
    job = visits.folder / "k8s" / "migrate.yaml"
    job.write_text(job.read_text().replace("backoffLimit: 3", "backoffLimit: 0"))
    told = visits.typed("up", code=6)
    assert "job/migrate failed: Job has reached the specified backoff limit." in told
    assert 'syntax error at or near "TABEL"' in told, "the last lines of its log"
    assert '"count": ' in answers.text(url), "what was there before still serves"
    main.write_text(main.read_text().replace("CREATE TABEL", "CREATE TABLE"))

    password = visits.folder / "k8s" / "database.env"
    password.write_text(password.read_text().replace("visits", "others"))
    assert "Rolling out" in visits.typed("build", "deploy"), "another configuration replaces the pods"
    visits.typed("clean")
    listed = f"get all,secrets,configmaps --selector=app.kubernetes.io/managed-by=kubetasks-{visits.name} --output=name"
    assert visits.shell(f"{kubectl} {listed} && echo none") == "none\n"
    visits.shell(kept[2])
    assert visits.typed("clean", "--all").splitlines()[-1] == "Clean."
    assert visits.left() == ""


def test_the_clocks_own_tests_pass_on_a_cluster_of_others_which_keeps_what_it_has(
    begin: Begin, k8s_cluster: Cluster, on: dict[str, str]
) -> None:
    clock = begin(EXAMPLES / "clock", "clock")
    assert "2 passed" in clock.tested("-n2", on=on)
    assert clock.left() == ""
    assert namespaces(k8s_cluster, clock) == []
    assert "namespace/metallb-system" in namespaces(k8s_cluster), "the cluster and what others have in it stay"

"""What the other fixtures and members do."""

import pytest

from kubetasks import App


def test_another_folder_is_rolled_out_and_each_url_answers(k8s_app, k8s_traffic, tmp_path):
    source = k8s_app.project.folder
    for name in ("Dockerfile", "server.py"):
        (tmp_path / name).write_text((source / name).read_text().replace("hello", "good day"))
    first = k8s_app.rollout()
    with k8s_traffic.load() as load:
        assert k8s_app.rollout(tmp_path) != first
        load.at_least(50)
    assert load.failed == 0
    assert k8s_app.url in k8s_app.urls.values()
    assert "load balancer" in k8s_app.urls


@pytest.mark.k8s(nodes=2, kind="two.yaml")
def test_a_cluster_of_its_own(k8s_throwaway):
    assert len(k8s_throwaway.kubectl("get", "nodes", "--output=name").split()) == 2
    assert len(k8s_throwaway.kubectl("get", "nodes", "--output=name", "--selector=tier=back").split()) == 1
    app = App(k8s_throwaway, "default")
    app.deploy()
    assert app.url.startswith("http://127.0.0.1:")

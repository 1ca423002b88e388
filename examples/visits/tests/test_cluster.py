"""The visits on a throwaway cluster, with their database."""

import json
from urllib.request import urlopen


def visit(app):
    with urlopen(app.url) as answer:
        return json.load(answer)["count"]


def test_each_visit_is_counted_whichever_pod_answers(k8s_app):
    k8s_app.scale(3)
    first = visit(k8s_app)
    assert [visit(k8s_app) for _ in range(9)] == list(range(first + 1, first + 10))


def test_the_job_has_run(k8s_app):
    assert k8s_app.kubectl("get", "job", "migrate", "--output=jsonpath={.status.succeeded}") == "1"

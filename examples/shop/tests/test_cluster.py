"""The shop on a throwaway cluster, with its database and its queue; deployed once for all of these tests."""

import json
import time
from urllib.request import Request, urlopen


def orders(app):
    with urlopen(f"{app.url}orders") as answer:
        return json.load(answer)["orders"]


def order(app, times):
    """Order so often, and wait until a worker has written as many into the database."""
    before, over = orders(app), time.monotonic() + 10
    for _ in range(times):
        urlopen(Request(f"{app.url}orders", method="POST")).close()
    while orders(app) < before + times and time.monotonic() < over:
        time.sleep(0.1)
    assert orders(app) == before + times


def test_each_order_goes_through_the_queue_into_the_database(k8s_app):
    k8s_app.scale(3)
    order(k8s_app, 10)


def test_orders_outlive_the_database(k8s_app):
    order(k8s_app, 1)
    before = orders(k8s_app)
    k8s_app.delete("pod/database-0")
    k8s_app.wait("pod/database-0", "Ready")
    k8s_app.wait("deployment/api", "Available")
    assert orders(k8s_app) == before


def test_the_migration_has_run(k8s_app):
    assert k8s_app.get("job", "migrate")["status"]["succeeded"] == 1

"""The shop on a throwaway cluster, with its database and its queue; deployed once for all of these tests."""

import json
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def orders(app):
    with urlopen(f"{app.url}orders") as answer:
        return json.load(answer)["orders"]


def wait_for_orders(app, number, seconds=30):
    """Wait for `number` orders: the worker needs a moment, and the API needs time to find a new database."""
    found, over = None, time.monotonic() + seconds
    while found != number and time.monotonic() < over:
        try:
            found = orders(app)
        except HTTPError as error:
            found = error
        time.sleep(0.1)
    assert found == number


def order(app, times):
    before = orders(app)
    for _ in range(times):
        urlopen(Request(f"{app.url}orders", method="POST")).close()
    wait_for_orders(app, before + times)


def test_each_order_goes_through_the_queue_into_the_database(k8s_app):
    k8s_app.scale(3)
    order(k8s_app, 10)


def test_orders_outlive_the_database(k8s_app):
    order(k8s_app, 1)
    before = orders(k8s_app)
    k8s_app.delete("pod/database-0")
    k8s_app.wait("pod/database-0", "Ready")
    wait_for_orders(k8s_app, before)


def test_the_migration_has_run(k8s_app):
    assert k8s_app.get("job", "migrate")["status"]["succeeded"] == 1

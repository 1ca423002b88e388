"""The clock on a throwaway cluster."""

from urllib.request import urlopen


def test_it_tells_the_time(k8s_app):
    with urlopen(k8s_app.url) as answer:
        assert answer.read().decode().startswith("20")


def test_no_request_is_lost_while_it_is_scaled(k8s_app, k8s_traffic):
    with k8s_traffic.load() as load:
        k8s_app.scale(3)
        load.at_least(100)
    assert (len(k8s_app.pods()), load.failed) == (3, 0)

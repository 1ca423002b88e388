"""What a team writes to test its application on a cluster."""


def test_it_answers(k8s_app, k8s_traffic):
    assert (k8s_traffic(20).failed, len(k8s_app.pods())) == (0, 1)


def test_no_request_is_lost_while_it_is_scaled(k8s_app, k8s_traffic):
    with k8s_traffic.load() as load:
        k8s_app.scale(3)
        load.at_least(100)
    assert (len(k8s_app.pods()), load.failed) == (3, 0)

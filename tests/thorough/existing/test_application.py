"""Tests for any cluster, repeated on an existing one with the `app` of this folder."""

import pytest

from tests.core.test_deploy import (  # noqa: F401
    test_a_changed_source_rolls_out_and_the_old_replica_set_goes_to_zero,
    test_it_comes_up_and_serves_the_image_that_was_built,
)
from tests.core.test_expose import test_it_answers_in_each_way_that_the_provider_has_until_unexpose  # noqa: F401
from tests.core.test_remove import test_nothing_is_left_and_what_does_not_carry_our_label_is_left_alone  # noqa: F401
from tests.core.test_scale import (  # noqa: F401
    test_from_three_to_one_and_back_and_no_request_is_lost,
    test_three_pods_answer_and_their_counts_add_up,
)
from tests.thorough.application.test_deploy import (  # noqa: F401
    test_a_second_deploy_changes_nothing_and_restarts_no_pod,
    test_as_json_a_task_tells_its_outcome_and_the_seconds_of_its_stages,
    test_restricted_pod_security_admits_its_pods_without_a_warning,
    test_the_documented_autoscaler_is_accepted_and_deploy_leaves_its_replicas_alone,
)
from tests.thorough.application.test_rollout import test_while_a_new_build_rolls_out_no_request_is_lost  # noqa: F401

pytestmark = pytest.mark.exhaustive

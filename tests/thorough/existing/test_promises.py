"""What the README promises holds on a cluster of others too, with the `app` of this folder."""

from tests.core.test_deploy import (  # noqa: F401
    test_a_changed_source_rolls_out_and_the_old_replica_set_goes_to_zero,
    test_it_comes_up_and_serves_the_image_that_was_built,
)
from tests.core.test_expose import test_it_answers_in_each_way_that_the_provider_has_until_unexpose  # noqa: F401
from tests.core.test_remove import test_nothing_is_left_and_what_does_not_carry_our_label_is_left_alone  # noqa: F401
from tests.core.test_scale import test_three_pods_answer_and_their_counts_add_up  # noqa: F401

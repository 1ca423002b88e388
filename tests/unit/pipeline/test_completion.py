"""What another process does after a second Ctrl-C: what was half created goes, and with `dev --clean` everything."""

import pytest

from kubetasks.errors import ClusterError
from kubetasks.pipeline import app, completion
from kubetasks.pipeline.run import Context
from tests.unit.pipeline import fakes


@pytest.mark.parametrize(("word", "called"), [("discard", ["discard"]), ("clean", ["clean"])])
def test_the_rest_of_a_clean_up_is_done(monkeypatch: pytest.MonkeyPatch, word: str, called: list[str]) -> None:
    own = fakes.OwnProvider(changed=False)

    def clean(_context: Context, everything: bool) -> bool:
        assert everything
        own.called.append("clean")
        return True

    monkeypatch.setattr(app, "clean", clean)
    completion.complete(word, fakes.context(own))
    assert own.called == called


def test_a_cluster_of_others_is_never_cleaned_unasked() -> None:
    with pytest.raises(ClusterError, match="is not ours"):
        completion.complete("clean", fakes.context(fakes.FakeProvider()))

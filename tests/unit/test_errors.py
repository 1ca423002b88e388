"""Errors: one sentence, and a hint."""

from kubetasks import errors


def test_the_message_is_the_sentence_and_then_the_hint() -> None:
    error = errors.ClusterError("It is stopped.", "./inv start")
    assert (error.message, error.code) == ("It is stopped.\n  ./inv start", 4)
    assert str(errors.ClusterError("It is stopped.")) == "It is stopped."


def test_a_failed_program_shows_its_command_and_the_end_of_its_output() -> None:
    output = "\n".join(f"line {number}" for number in range(50))
    error = errors.ProgramError(["kind", "create"], 1, output, "/somewhere/setup.log")
    assert "`kind create` ended with 1" in error.sentence
    assert "line 49" in error.sentence
    assert "line 1\n" not in error.sentence
    assert "/somewhere/setup.log" in error.sentence

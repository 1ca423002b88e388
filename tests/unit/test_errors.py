"""Errors: one sentence, a hint, and an exit code of its own for each kind."""

import inspect

from kubetasks import errors


def kinds() -> list[type[errors.TaskError]]:
    return [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.TaskError)]


def test_no_two_kinds_share_an_exit_code() -> None:
    codes = [kind.code for kind in kinds()]
    assert len(codes) > 8
    assert len(codes) == len(set(codes))


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

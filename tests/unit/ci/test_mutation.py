"""Which changes of meaning are made to a piece of source."""

import pytest

from ci import mutation


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = b == c", ["a = (b != c)"]),
        ("a = b < c <= d", ["a = (b < c > d)", "a = (b >= c <= d)"]),
        ("a = b not in c", ["a = (b in c)"]),
        (
            "a = b and c or d",
            ["a = ((b and c) and d)", "a = (b and c)", "a = (d)", "a = (b or c) or d", "a = (b) or d", "a = (c) or d"],
        ),
        ("if a:\n    b = c", ["if (not (a)):\n    b = c"]),
        ("if not a:\n    b = c", ["if (a):\n    b = c"]),
        ("a = b if c else d", ["a = b if (not (c)) else d"]),
        ("a = [b for b in c if d]", ["a = [b for b in c if True]"]),
        ("def a():\n    return b", ["def a():\n    return None"]),
        ("def a() -> Literal[3]:\n    return None", []),
        ("def a():\n    return ''", []),
        ("a = -2 + 0.5 + 0", ["a = -0 + 0.5 + 0", "a = -2 + 0 + 0", "a = -2 + 0.5 + 1"]),
        ("a(True)", ["pass", "a(False)"]),
        ("'Words.'\na: Literal[1] | None\nassert a == 1\nif TYPE_CHECKING:\n    import b", []),
        ("a = f'{b or c} of {1}', 'ünd'", []),
        ("a = 'ü' if b else (\n    1\n)", ["a = 'ü' if (not (b)) else (\n    1\n)", "a = 'ü' if b else (\n    0\n)"]),
        ("@dataclass(frozen=True)\nclass A:\n    b: int = 3", ["@dataclass(frozen=True)\nclass A:\n    b: int = 0"]),
    ],
)
def test_the_meaning_changes_and_no_words_or_types(source: str, expected: list[str]) -> None:
    assert sorted(one.applied(source) for one in mutation.changes("f.py", source)) == sorted(expected)


def test_a_change_says_where_it_is() -> None:
    (turned, returned) = mutation.changes("k/f.py", "def a():\n\n    return (b\n  == c)")[::-1]
    assert str(turned) == "k/f.py:3: b == c  ->  (b != c)"
    assert str(returned) == "k/f.py:3: return (b == c)  ->  return None"

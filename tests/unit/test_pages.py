"""The program that runs pages, with a real shell but no cluster; and the code that pages quote."""

import inspect
import os
import pkgutil
import re
import signal
import textwrap
from pathlib import Path

import pytest

from tasks import PROJECT
from tests.support import pages
from tests.support.pages import PageError
from tests.unit.test_documents import DOCUMENTS

PAGE = """\
Text with `code`.

```console
$ word=hello
$ echo $word
hello
$ printf 'a\\nb\\n'
...
b
$ echo '  Creating a cluster: starting its node ... (20 s)'
```

```console minikube
$ echo never
```

```console kind exit=3
$ echo 'pod/simple-server-7c9f4d5b-abcde  took 1.5 s'
pod/simple-server-5f5d9b77-xyz42 took 22 s
$ (echo wrong >&2; exit 3)
wrong
```

```console beside
$ echo first; echo between; sleep 0.1; echo last; cat
```

```text beside
first
last
```
"""


def run(tmp_path: Path, text: str, *, update: bool = False) -> str:
    """Run a page; return its text afterwards."""
    page = tmp_path / "page.md"
    page.write_text(text)
    with pages.shell(tmp_path, dict(os.environ)) as bash, pages.shell(tmp_path, dict(os.environ)) as beside:
        pages.run(page, "kind", (bash, beside), {}, lambda _command: None, update)
    return page.read_text()


def test_a_page_that_is_right_is_run_in_one_shell_and_left_alone(tmp_path: Path) -> None:
    assert run(tmp_path, PAGE) == PAGE
    assert run(tmp_path, PAGE, update=True) == PAGE


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("\nhello\n", "\ngoodbye\n", "-goodbye\n+hello"),
        ("took 22 s", "takes 22 s", "-pod/simple-server-5f5d9b77-xyz42 takes 22 s"),
        ("...\nb", "...\nc", "+b"),
        (" exit=3", "", "ended with 3, not 0"),
        ("\nwrong\n", "\n", "+wrong"),
        ("first\nlast\n", "last\nfirst\n", "has not printed, in this order:\nlast\nfirst\nbut:\nfirst\nbetween\nlast\n"),
    ],
)
def test_one_changed_word_of_a_page_fails_and_the_diff_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    monkeypatch.setattr(pages, "SECONDS_BESIDE", 0.5)
    assert PAGE.count(right) == 1
    with pytest.raises(PageError) as raised:
        run(tmp_path, PAGE.replace(right, wrong))
    assert said in str(raised.value)


def test_updating_writes_only_the_lines_that_do_not_match_and_expands_no_block_that_is_elided(tmp_path: Path) -> None:
    wrong = PAGE.replace("\nhello\n", "\ngoodbye\nand more\n").replace("\nwrong\n", "\n")
    assert run(tmp_path, wrong, update=True) == PAGE
    with pytest.raises(PageError, match=r"-c\n"):
        run(tmp_path, PAGE.replace("...\nb", "...\nc"), update=True)


@pytest.mark.parametrize(("command", "seconds", "code"), [("sleep 60", 0.2, -signal.SIGTERM), ("exit 3", 60, 3)])
def test_a_command_that_does_not_end_or_ends_the_shell_is_named(tmp_path: Path, command: str, seconds: float, code: int) -> None:
    named = re.escape(f"$ {command}\nhas ended the shell, or not")
    with pages.shell(tmp_path, dict(os.environ)) as bash, pytest.raises(PageError, match=named):
        pages.type_in(bash, command, seconds)
    assert bash.returncode == code


def test_a_command_does_not_read_the_commands_after_it(tmp_path: Path) -> None:
    with pages.shell(tmp_path, dict(os.environ)) as bash:
        assert pages.type_in(bash, "cat") == ([], 0)
        printed, code = pages.type_in(bash, "echo 'not closed")
        assert code != 0, printed
        assert pages.type_in(bash, "echo next") == (["next"], 0)


@pytest.mark.parametrize(
    "block",
    [
        ["```console", "$ ls"],
        ["```console minikub", "$ ls", "```"],
        ["```console exti=3", "$ ls", "```"],
        ["```console", "printed by nothing", "$ ls", "```"],
        ["```console", "```"],
        ["```console"],
    ],
)
def test_a_block_that_cannot_be_read_is_refused(block: list[str]) -> None:
    with pytest.raises(PageError, match="line 1: the block has"):
        list(pages.steps(block, "kind"))


def test_pages_quote_the_code_as_it_is() -> None:
    """```python PACKAGE.MODULE:NAME quotes an object of the code; ```yaml FILE and ```dockerfile FILE quote a whole file."""
    text = "".join(document.read_text() for document in DOCUMENTS)
    quoted = re.findall(r"^```python ([\w.:]+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert quoted
    for name, code in quoted:
        assert code == textwrap.dedent(inspect.getsource(pkgutil.resolve_name(name))), name
    files = re.findall(r"^```(?:yaml|dockerfile) ([\w./]+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert files
    assert [name for name, content in files if content != (PROJECT.folder / name).read_text()] == []

"""The very first step: `./inv` installs .venv and runs the tasks in it, wherever the clone is, or says what prevents it."""

import os
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks import PROJECT

# Stands in for each Python: it appends each step to $LOG, waits in pip for a line from $GATE, and kills its
# process group, as Ctrl-C would, after the step $KILL.
PYTHON = """\
step=$2
echo "$step" >>"$LOG"
case "$step" in
venv) mkdir -p .venv/bin && ln -s "$0" .venv/bin/python ;;
pip) [ -z "${GATE-}" ] || read -r _ <"$GATE" ;;
kubetasks)
    shift 2
    [ ! -e /proc/$$/fd/9 ] || echo "descriptor 9 is open" >&2
    printf '%s\\0' "$PWD${PYTHONSAFEPATH-}" "$@"
    ;;
esac
[ "$step" != "${KILL-nothing}" ] || kill -KILL 0
"""
CREATING = "Creating .venv from requirements/tasks.txt, which takes 20 to 30 seconds ...\n"
WAITING = "Another ./inv is creating .venv: waiting for it ...\n"


class Clone:
    """A clone without .venv; the bin/ beside it is the whole PATH."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder, self.bin, self.log = home, home / "clone", home / "bin", home / "log"
        (self.folder / "requirements").mkdir(parents=True)
        self.lock = self.folder / "requirements" / "tasks.txt"
        self.lock.write_text("invoke==1\n")
        shutil.copy(PROJECT.folder / "inv", self.folder)
        self.bin.mkdir()
        for program in "cat cmp flock ln mkdir readlink rm sed sh".split():
            found = shutil.which(program)
            assert found
            (self.bin / program).symlink_to(found)

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)  # otherwise the script would be written through a link
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def python(self, version: str) -> None:
        self.program(version, PYTHON)
        (self.bin / "python3").unlink(missing_ok=True)
        (self.bin / "python3").symlink_to(version)

    def start(self, *argv: str | Path, cwd: Path | None = None, **variables: str) -> subprocess.Popen[str]:
        """In a process group of its own."""
        words, env, pipe = argv or ["./inv"], {"PATH": str(self.bin), "LOG": str(self.log), **variables}, subprocess.PIPE
        where = cwd or self.folder
        return subprocess.Popen(words, cwd=where, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    def inv(self, *argv: str | Path, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        run = self.start(*argv, cwd=cwd, **variables)
        stdout, stderr = run.communicate()
        return subprocess.CompletedProcess(run.args, run.returncode, stdout, stderr)

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


@pytest.fixture
def bare(tmp_path: Path) -> Clone:
    """A clone on a machine without Python."""
    return Clone(tmp_path)


@pytest.fixture
def clone(bare: Clone) -> Clone:
    """A clone in which ./inv was never run."""
    bare.python("python3.11")
    return bare


@pytest.fixture
def installed(clone: Clone) -> Clone:
    """A clone in which ./inv has created .venv."""
    assert clone.inv().returncode == 0
    return clone


def content(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below, to check that nothing was touched."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.promise("You need Linux, Python 3.11")
@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("", "python3 is missing: install Python 3.11 or newer."),
        ('case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac', "Python 3.9.2 is too old: Python 3.11 or newer"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "python3 cannot create virtual environments: apt-get install python3-venv"),
    ],
    ids=["none", "too old", "without venv"],
)
def test_what_the_python_lacks_is_one_sentence(bare: Clone, python: str, sentence: str) -> None:
    if python:
        bare.program("python3", python)
    ended = bare.inv()
    assert (ended.returncode, len(ended.stderr.splitlines())) == (9, 1)
    assert ended.stderr.startswith(sentence)
    assert not bare.venv.exists()


@pytest.mark.promise("The first `./inv` creates `.venv`")
def test_the_first_run_says_what_takes_long_and_the_second_starts_no_python_but_the_tasks(clone: Clone) -> None:
    ended = clone.inv()
    assert (ended.returncode, ended.stderr) == (0, CREATING)  # descriptor 9, the lock, is not open in the tasks either
    assert sorted(path.name for path in clone.folder.iterdir()) == [".venv", "inv", "requirements"], "no lock stays"
    clone.log.unlink()
    ended = clone.inv()
    assert (ended.returncode, ended.stderr, clone.calls) == (0, "", ["kubetasks"])


def test_through_links_the_venv_beside_the_link_stays(clone: Clone) -> None:
    elsewhere = clone.home / "elsewhere"
    (elsewhere / ".venv").mkdir(parents=True)
    (elsewhere / ".venv" / "installed.txt").write_text("somebody's")
    (elsewhere / "inv").symlink_to("../first")
    (clone.home / "first").symlink_to(clone.folder / "inv")
    ended = clone.inv("elsewhere/inv", cwd=clone.home)
    assert (ended.returncode, ended.stderr) == (0, CREATING)
    assert ended.stdout.split("\0")[0] == str(clone.folder)
    assert content(elsewhere / ".venv") == {"installed.txt": b"somebody's"}


@pytest.mark.parametrize("kind", ["folder", "file", "link", "dangling link"])
def test_a_venv_of_somebody_else_is_refused_and_untouched(clone: Clone, kind: str) -> None:
    theirs = clone.home / "theirs"
    (theirs / "bin").mkdir(parents=True)
    (theirs / "bin" / "python").write_text("theirs")
    if kind == "folder":
        theirs.rename(clone.venv)
    elif kind == "file":
        clone.venv.write_text("theirs")
    elif kind == "link":
        (theirs / "installed.txt").write_text("not that of this folder")
        clone.venv.symlink_to(theirs)
    else:
        clone.venv.symlink_to("gone")
    before = content(clone.home)
    ended = clone.inv()
    assert (ended.returncode, len(ended.stderr.splitlines())) == (9, 2)
    assert ended.stderr.startswith(f"{clone.folder}/.venv does not look like one that ./inv created, so it stays.")
    assert (content(clone.home), clone.venv.is_symlink()) == (before, "link" in kind)


def test_any_character_may_be_in_the_path_and_in_the_arguments(tmp_path: Path) -> None:
    clone = Clone(tmp_path / """ it's "a" $HOME `b` \\n * """)
    clone.python("python3.11")
    argv = ["--list", "", "a  b", "$HOME", '"', "'", "\\n", "*", "two\nlines", "--", "-c"]
    clone.venv.mkdir()
    command = clone.inv().stderr.splitlines()[-1]
    subprocess.run(["sh", "-c", command], check=True, cwd=tmp_path)
    assert (clone.folder / ".venv.kept").is_dir()
    for _ in range(2):
        ended = clone.inv(clone.folder / "inv", *argv, cwd=tmp_path, PYTHONSAFEPATH="1")  # it would hide kubetasks
        assert ended.stdout.split("\0")[:-1] == [str(clone.folder), *argv]
    assert clone.calls.count("pip") == 1


@pytest.mark.parametrize("change", ["moved", "interpreter changed", "interpreter gone", "lock changed"])
def test_a_stale_venv_is_made_again_once(installed: Clone, change: str) -> None:
    (installed.venv / "lib").mkdir()
    (installed.venv / "lib" / "old.py").touch()
    match change:
        case "moved":
            installed.folder = installed.folder.rename(installed.home / "moved")
        case "interpreter changed":
            installed.python("python3.12")
        case "interpreter gone":
            installed.python("python3.12")
            (installed.bin / "python3.11").unlink()
        case "lock changed":
            installed.lock.write_text("invoke==2\n")
    ended = [installed.inv() for _ in range(2)]
    assert [(run.returncode, run.stderr) for run in ended] == [(0, CREATING), (0, "")]
    assert installed.calls.count("pip") == 2
    assert not (installed.venv / "lib").exists()


@pytest.mark.parametrize("step", ["venv", "pip"])
def test_an_interrupted_installation_is_repaired(clone: Clone, step: str) -> None:
    assert clone.inv(KILL=step).returncode == -9
    ended = clone.inv()
    assert (ended.returncode, clone.calls[-2:]) == (0, ["pip", "kubetasks"])
    assert ended.stderr.endswith(CREATING), "a child of the killed one may hold the lock a moment longer"


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ("venv", "No space left.\npython3 could not create .venv: see above, fix it and run this again.\n"),
        ("pip", "The packages of requirements/tasks.txt could not be installed: see above, fix it and run this again.\n"),
    ],
)
def test_a_failed_installation_is_told_and_tried_again(clone: Clone, step: str, sentence: str) -> None:
    clone.program("python3.11", f'[ "$2" != {step} ] || {{ echo "No space left." >&2; exit 1; }}\n{PYTHON}')
    for _ in range(2):
        ended = clone.inv()
        assert (ended.returncode, ended.stdout) == (9, "")
        assert ended.stderr.endswith(sentence)
    clone.python("python3.11")
    assert clone.inv().returncode == 0


def test_of_two_at_once_one_installs_and_the_other_waits(clone: Clone) -> None:
    gate = clone.home / "gate"
    os.mkfifo(gate)
    opened = os.open(gate, os.O_RDWR)  # opened for both, so that no side blocks; pip waits for a line
    runs = []
    try:
        for says, waits in ((CREATING, str(gate)), (WAITING, "")):
            runs.append(clone.start(GATE=waits))
            assert runs[-1].stderr
            assert select.select([runs[-1].stderr], [], [], 60)[0]
            assert runs[-1].stderr.readline() == says
        os.write(opened, b"\n")
        assert [(run.communicate(timeout=60)[1], run.returncode) for run in runs] == [("", 0), ("", 0)]
    finally:
        os.close(opened)  # ends a pip that still waits
        for run in runs:
            run.kill()
            run.communicate()
    assert clone.calls.count("pip") == 1


@pytest.mark.parametrize("flock", ["missing", "not on this file system"])
def test_without_flock_it_goes_on(clone: Clone, flock: str) -> None:
    clone.program("flock", "echo 'flock: 9: Bad file descriptor' >&2; exit 65")
    if flock == "missing":
        (clone.bin / "flock").unlink()
    ended = clone.inv()
    assert (ended.returncode, ended.stderr) == (0, CREATING)


@pytest.fixture
def unprivileged() -> list[str]:
    """A command prefix that makes root respect file permissions; empty for other users."""
    if os.geteuid():
        return []
    program = shutil.which("setpriv")
    assert program
    return [program, "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize("part", [".", ".venv", ".venv/bin"])
def test_a_folder_that_cannot_be_written_is_one_sentence(installed: Clone, unprivileged: list[str], part: str) -> None:
    installed.lock.write_text("invoke==2\n")
    if part == ".":
        shutil.rmtree(installed.venv)
    (installed.folder / part).chmod(0o555)
    ended = installed.inv(*unprivileged, "./inv")
    (installed.folder / part).chmod(0o755)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (9, 1)
    assert ended.stderr.startswith(f"{installed.folder}/.venv cannot be written: run ./inv as the owner")


def test_a_complete_venv_is_used_in_a_read_only_folder(installed: Clone, unprivileged: list[str]) -> None:
    for folder in (installed.venv, installed.folder):
        folder.chmod(0o555)
    ended = installed.inv(*unprivileged, "./inv")
    for folder in (installed.folder, installed.venv):
        folder.chmod(0o755)
    assert (ended.returncode, ended.stderr) == (0, "")

"""Find where this package was installed from (PEP 610), so that a workflow can install it on another machine."""

import json
import re
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from kubetasks.errors import TaskError
from kubetasks.terminal import shell

NAME = "kubetasks"
UNKNOWN = f"{NAME} @ git+URL@COMMIT"


def requirement() -> str:
    """Return the requirement with which pip installs the same package elsewhere, or UNKNOWN."""
    try:
        installed = metadata.distribution(NAME)
    except metadata.PackageNotFoundError:  # run from a clone
        return _of_clone(Path(__file__).parents[2])
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if not origin:
        return f"{NAME}=={installed.version}"
    if "vcs_info" in origin:
        return _of_commit(origin["url"], origin["vcs_info"]["commit_id"])
    if "dir_info" in origin:
        return _of_clone(Path(url2pathname(urlsplit(origin["url"]).path)))
    return f"{NAME} @ {origin['url']}" if origin["url"].startswith("http") else UNKNOWN  # an archive


def _of_clone(folder: Path) -> str:
    """Return the requirement for the clone's commit, or UNKNOWN if its remote `origin` does not have that commit."""
    words = "remote get-url origin", "rev-parse HEAD", "branch --remotes --list --contains=HEAD origin/*"
    try:
        url, commit, pushed = (shell.run(["git", "-C", str(folder), *one.split()]).strip() for one in words)
    except TaskError:  # git is missing, or this is not a clone
        return UNKNOWN
    return _of_commit(url, commit) if pushed and (folder / ".git").exists() else UNKNOWN


def _of_commit(url: str, commit: str) -> str:
    url = re.sub(r"^(?:ssh://)?git@([^:/]+)(?::\d+(?=/))?[:/]", r"https://\1/", url)  # HTTPS needs no key
    url = re.sub(r"^(https?://)[^/@]*@", r"\1", url)  # without credentials
    return f"{NAME} @ git+{url}@{commit}" if url.startswith("http") else UNKNOWN

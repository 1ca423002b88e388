"""Remove what setup pulled, downloaded and built; `hostengine` also removes an engine that it installed."""

import shlex
from pathlib import Path

from kubetasks.engine import client
from kubetasks.engine.client import Created, Engine
from kubetasks.errors import ClusterError
from kubetasks.project.settings import Settings
from kubetasks.setup import receipt, requirements
from kubetasks.setup.receipt import Receipt
from kubetasks.terminal.door import Door


def remove(settings: Settings, do: Door) -> list[str]:
    """Remove the images and the cache folder, and return their names.

    Raises ClusterError if a cluster of any project exists, EngineError if the engine does not answer.
    """
    if not settings.cache.exists():
        return []
    with receipt.locked(settings.cache, do.tell):
        engine = client.connect()
        require_no_clusters(engine)
        gone = remove_images(engine, receipt.read(settings.cache), do)
        receipt.discard(settings.cache, do.say)
        return [*gone, str(settings.cache)]


def require_no_clusters(engine: Engine) -> None:
    """Raises ClusterError if a cluster of any project exists: it needs the programs and images that would be removed."""
    clusters = engine.clusters()
    if clusters:
        names = ", ".join(f"{cluster.name} (of {cluster.folder or cluster.owner})" for cluster in clusters)
        raise ClusterError(f"Clusters still exist: {names}.", "\n  ".join(map(_removes, clusters)))


def _removes(cluster: Created) -> str:
    """Return the command that deletes a cluster."""
    if Path(cluster.folder or "/nowhere").is_dir():
        return f"(cd {shlex.quote(cluster.folder)} && {cluster.command} clean --all)"
    name = cluster.name  # only the engine still knows it
    nodes = f"docker rm --force --volumes $(docker ps --all --quiet --filter network={name})"
    return f"{nodes}; docker network rm {name}" + (f"; docker volume rm {name}" if cluster.provider else "")


def remove_images(engine: Engine, noted: Receipt, do: Door) -> list[str]:
    """Remove the images that setup built or pulled, unless a container uses them. Return the names of removed ones."""
    built = [tag for repository in requirements.REPOSITORIES for tag in engine.image_tags(repository)]
    gone = []
    for reference in [*built, *noted.pulled]:
        users = engine.users(reference)
        if users:
            do.say(f"Kept image {reference}, which is used by {', '.join(users)}.")
        elif engine.remove_image(reference):
            gone.append(reference)
    return gone

"""Remove what setup has pulled, downloaded and built; `hostengine` removes an engine that it has installed too."""

from kubetasks.engine import client
from kubetasks.engine.client import Engine
from kubetasks.errors import ClusterError
from kubetasks.project.settings import Settings
from kubetasks.setup import receipt, requirements
from kubetasks.setup.receipt import Receipt
from kubetasks.terminal.report import Report


def remove(settings: Settings, report: Report) -> list[str]:
    """Remove images and the cache folder; return their names.

    Raises ClusterError while a cluster of ours exists, EngineError if the engine does not answer.
    """
    if not settings.cache.exists():
        return []
    with receipt.locked(settings.cache, report):
        found = client.connect()
        require_no_clusters(found)
        gone = remove_images(found, receipt.read(settings.cache), report)
        receipt.discard(settings.cache)
        return [*gone, str(settings.cache)]


def require_no_clusters(found: Engine) -> None:
    """Raises ClusterError if there is a cluster of ours."""
    clusters = found.our_clusters()
    if clusters:
        name, provider = clusters[0]
        chosen = f"INVOKE_CLUSTER_PROVIDER={provider} " if provider else ""
        raise ClusterError(
            f"Clusters of ours still exist: {', '.join(name for name, _provider in clusters)}.",
            f"{chosen}INVOKE_CLUSTER_NAME={name} ./inv clean --all",
        )


def remove_images(found: Engine, made: Receipt, report: Report) -> list[str]:
    """Remove the images that setup built or pulled, unless a container uses them. Return their names."""
    built = [tag for repository in requirements.REPOSITORIES for tag in found.image_tags(repository)]
    gone = []
    for reference in [*built, *made.pulled]:
        users = found.users(reference)
        if users:
            report.say(f"Kept image {reference}: {', '.join(users)} uses it.")
        elif found.remove_image(reference):
            gone.append(reference)
    return gone

"""The providers: one adapter each behind the interface in `base`. Other packages use the interface, never an adapter."""

from collections.abc import Callable

from kubetasks.engine.client import Engine
from kubetasks.errors import ClusterError
from kubetasks.project.settings import Settings
from kubetasks.project.words import INV
from kubetasks.providers.base import Provider
from kubetasks.providers.own import Own, Specification
from kubetasks.terminal.door import Door


def select(settings: Settings, do: Door, connect: Callable[[], Engine]) -> Provider:
    """Return the provider that the settings name; it calls `connect` when it needs the container engine."""
    if settings.provider == "existing":
        from kubetasks.providers.existing import Existing

        return Existing(settings.context, settings.app, do, connect, settings.kubeconfig, settings.registry)
    wanted = Specification(settings.kubernetes, settings.nodes, settings.timeout, settings.state_folder, settings.cluster_labels)
    given = settings.cluster, settings.app, do, connect, wanted, settings.cache, lambda need, engine: need.find(engine, settings)
    if settings.provider == "minikube":
        from kubetasks.providers.minikube.provider import Minikube

        return Minikube(*given, settings.runtime)
    from kubetasks.providers.kind.provider import Kind

    return Kind(*given, settings.port, settings.project.kind)


def lifecycle(provider: Provider) -> Own:
    """Return the provider if kubetasks may stop and delete its cluster. Raises ClusterError for an existing cluster."""
    if isinstance(provider, Own):
        return provider
    raise ClusterError(
        f"The cluster {provider.name} is not ours to stop or delete.", f"{INV} clean removes the application from it"
    )

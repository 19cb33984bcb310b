"""What is loaded in this process, as metrics and log tell it."""

from collections import defaultdict
from collections.abc import Iterable

from structlog.typing import FilteringBoundLogger

from streamer.pipeline.model import Model
from streamer.telemetry import Metrics


def tell_models(models: Iterable[Model], metrics: Metrics, log: FilteringBoundLogger) -> None:
    """Tell which versions serve, where their sessions run, and what operators should know."""
    places: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for model in models:
        champion = model.champion
        metrics.model(model.name, champion.version_name, champion.version.manifest.task)
        metrics.session_nodes(model.name, champion.sessions[0].nodes)
        places[model.name] += [(one.device, one.provider) for one in champion.sessions]
        for caution in champion.cautions():
            log.warning("model_caution", model=model.name, caution=caution)
        if any(session.fallback is not None for session in champion.sessions):
            metrics.device_fallback(model.name, "auto")
    for name, where in places.items():
        metrics.sessions(name, where)

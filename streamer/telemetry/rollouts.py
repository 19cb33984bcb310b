"""Metrics of rollouts: there while one goes on, gone with it."""

from collections.abc import Mapping

from streamer.telemetry.families import Families


class RolloutMetrics:
    """The families of rollouts."""

    def __init__(self, families: Families) -> None:
        arm = ("model", "arm")
        self._info = families.gauge(
            "rollout_info", "1 while a candidate is compared", "model", "candidate", "mode"
        )
        self._records = families.gauge(
            "rollout_records", "Records that a version was asked about in a rollout", *arm
        )
        self._errors = families.gauge(
            "rollout_errors", "Records that it failed on in the rollout", *arm
        )
        self._score = families.gauge(
            "rollout_score_mean", "Mean of its best scores in the rollout", *arm
        )
        self._seconds = families.gauge(
            "rollout_item_duration_seconds", "Geometric mean of its runs' time an item", *arm
        )
        self._agreement = families.gauge(
            "rollout_agreement_ratio", "Share of records on which a shadow agrees", "model"
        )
        self._shed = families.gauge(
            "rollout_shed_records", "Records that a shadow passed over, being behind", "model"
        )
        self._shown: dict[str, tuple[str, str, str]] = {}

    def began(self, model: str, candidate: str, mode: str) -> None:
        """A candidate is compared from now on."""
        self.ended(model)
        self._shown[model] = (model, candidate, mode)
        self._info.labels(model, candidate, mode).set(1)

    def counted(
        self,
        model: str,
        arms: Mapping[str, Mapping[str, float | None]],
        agreement: float | None,
        shed: int,
    ) -> None:
        """So much is counted: of each arm `records`, `errors`, `score` and `seconds`."""
        families = {
            "records": self._records,
            "errors": self._errors,
            "score": self._score,
            "seconds": self._seconds,
        }
        for arm, figures in arms.items():
            for name, family in families.items():
                value = figures.get(name)
                if value is not None:
                    family.labels(model, arm).set(value)
        if agreement is not None:
            self._agreement.labels(model).set(agreement)
        self._shed.labels(model).set(shed)

    def ended(self, model: str) -> None:
        """Nothing is compared any more."""
        shown = self._shown.pop(model, None)
        if shown is None:
            return
        self._info.remove(*shown)
        for family in (self._records, self._errors, self._score, self._seconds):
            family.remove_by_labels({"model": model})
        for family in (self._agreement, self._shed):
            family.remove_by_labels({"model": model})

"""One run: cut, learn, look, register, roll out; a kill at any step leaves nothing half done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as library_version
from pathlib import Path
from time import monotonic
from typing import Any

import structlog

from streamer.config import Settings
from streamer.deployments import ChangedMeanwhileError, Deployment, Ledger, promoting
from streamer.deployments.deployment import now as time_now
from streamer.deployments.events import Changed
from streamer.deployments.rollout import Rollout, trying
from streamer.errors import ConfigError, ModelError, StreamerError
from streamer.models import Version
from streamer.models.packing import Packed, next_version, pack
from streamer.models.registry import open_registry
from streamer.models.version import load_version
from streamer.retraining.config import RetrainFile
from streamer.retraining.gate import Verdict, judge
from streamer.retraining.labelled import LabelledSet
from streamer.retraining.learner import Challenger, Learner, TooLittleError
from streamer.retraining.lesson import Lesson, cut, part_of
from streamer.retraining.place import Place
from streamer.retraining.progress import Stage
from streamer.retraining.report import json_report
from streamer.retraining.reported import name_version, write_report
from streamer.retraining.runner import OutOfTimeError
from streamer.retraining.runs import KILLED, Run, Runs, now
from streamer.retraining.scratch import Scratch
from streamer.retraining.store import Store
from streamer.retraining.trial import Trial, tried
from streamer.retraining.triggers import drifted
from streamer.retraining.truth import form_of

_BY = "streamer retrain"
_TRIES = 3
# What is shown of a classifier is how often it is right, whatever it was chosen by.
_SHOWN = {"balanced_accuracy": "accuracy", "nll": "accuracy"}
_LIBRARIES = ("numpy", "onnx", "onnxruntime", "scipy", "torch", "transformers")


class NotNowError(StreamerError):
    """No run can begin: nothing serves yet, or a rollout goes on."""


@dataclass(frozen=True)
class Result:
    """What came of learning and looking."""

    verdict: Verdict
    challenger: Challenger | None
    trial: Trial | None


class Workshop:
    """Makes runs.

    Args:
        settings: where registry and topics are.
        file: the sidecar's file.
        beside: its path.
        place: where the set and the runs are kept.
        learner: makes challengers.
        mine: whether this sidecar is still the one that works; asked before anything is written
            that others see.
        reaches: told the stages that a run comes to.
    """

    def __init__(  # noqa: PLR0913 - what a run needs
        self,
        settings: Settings,
        file: RetrainFile,
        beside: Path,
        place: Place,
        learner: Learner,
        *,
        mine: Callable[[], bool] = lambda: True,
        reaches: Callable[[Stage], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._file = file
        self._beside = beside
        self._place = place
        self._learner = learner
        self._mine = mine
        self._reaches = reaches
        self.registry = open_registry(settings.models)
        self._ledger = Ledger(settings)
        self._log = structlog.get_logger("retrain")
        self.runs = Runs(place)
        self._scratch = Scratch(place.url)

    def deployed(self) -> Deployment | None:
        """Give what serves."""
        return self._ledger.read().get(self._file.name)

    def champion(self, deployment: Deployment) -> Version:
        """Load the version that serves, as far as its files go."""
        return load_version(
            f"{self._file.model}@{deployment.champion}",
            beside=self._beside,
            models_dir=self._settings.models.dir,
            registry=self.registry,
        )

    def run(self, why: str, store: Store, labelled: LabelledSet, check: Callable[[], None]) -> Run:
        """Make one run from beginning to end.

        Args:
            why: what began it.
            store: the set's values.
            labelled: the set.
            check: called now and then; raises to end the work.

        Raises:
            NotNowError: nothing serves yet, or a rollout goes on.
            ConfigError: the strategy can't be had of the version that serves.
            StreamerError: registry or Kafka fail; the run is settled later.
        """
        deployment = self.deployed()
        if deployment is None:
            raise NotNowError(f"nothing serves of {self._file.name} yet")
        if deployment.candidate is not None:
            raise NotNowError(f"version {deployment.candidate} is being compared already")
        champion = self.champion(deployment)
        self._learner.check(champion)
        if self.runs.looks >= self._file.gate.max_looks:
            self._log.info("the held-out records are used up; newer ones are held out from now on")
            self.runs.retire(store.sequence)
        last = self.runs.last()
        names = champion.manifest.id2label
        lesson = cut(
            store,
            labelled.examples(self.runs.retired),
            [names[at] for at in range(len(names))],
            self._file.strategy.replay,
            seed=self._file.strategy.seed,
            since=last.set_version if last is not None else 0,
            form=form_of(champion.manifest),
        )
        run = self.runs.begin(
            why=why,
            champion=deployment.champion,
            set_version=lesson.version,
            digest=lesson.digest,
            taken=labelled.counts["taken"],
            trained=tuple(lesson.trained_names),
        )
        self._tell(run, "retrain: begun", why)
        in_time = self._in_time(check)
        try:
            drift = self.drift(store, labelled, champion, in_time) or "none was found"
        except (ModelError, OutOfTimeError) as error:
            drift = f"not known: {error}"
        with self._scratch.opened() as folder:
            result = self._worked(run, lesson, champion, Path(folder) / "challenger", in_time)
            more = {"labels": dict(labelled.counts), "drift": drift}
            run = self._judged(run, lesson, result, more)
        return self._ended(run)

    def drift(
        self,
        store: Store,
        labelled: LabelledSet,
        champion: Version,
        check: Callable[[], None],
    ) -> str | None:
        """Say how what came since the last run is unlike what was there before; None if it is not.

        Raises:
            ConfigError: scipy is not installed.
        """
        last = self.runs.last()
        if last is None:
            return None
        examples = [one for one in labelled.examples(self.runs.retired) if one.side != "test"]
        before = part_of(store, [e for e in examples if e.sequence <= last.set_version])
        newest = part_of(store, [e for e in examples if e.sequence > last.set_version])
        found = [self._learner.featured(champion, part, check) for part in (before, newest)]
        return drifted(*found)

    def settle(self) -> None:
        """End runs that were killed: those that wrote a version go on, the others are over."""
        self._scratch.sweep()
        for run in self.runs.open():
            version = run.version or self._written_by(run)
            if version is None and run.stage != "registered":
                reason = f"it was ended at '{run.stage}', before it had written a version"
                self.runs.keep(run, stage="done", verdict=KILLED, reasons=(reason,), ended=now())
                self._log.warning("a run was killed, and is over", run=run.number, stage=run.stage)
                continue
            self._log.info("goes on with a run that was killed", run=run.number, version=version)
            going_on = self.runs.keep(run, stage="registered", version=version)
            self._ended(name_version(self._place, going_on) if version else going_on)

    def _in_time(self, check: Callable[[], None]) -> Callable[[], None]:
        """Give what checks the time of a run that begins now, too."""
        limit = self._file.budget.max_time
        deadline = monotonic() + limit

        def in_time() -> None:
            check()
            if monotonic() > deadline:
                raise OutOfTimeError(f"not done within budget.max_time, {limit:g} s")

        return in_time

    def _worked(
        self, run: Run, lesson: Lesson, champion: Version, folder: Path, check: Callable[[], None]
    ) -> Result:
        """Learn and look."""
        challenger = None
        try:
            self._reaches("learns")
            challenger = self._learner.learn(lesson, champion, folder, check)
            self._log.info("learnt", run=run.number, how=challenger.text)
            look = self.runs.look(run)
            self.runs.keep(run, stage="looked")
            self._reaches("compares")
            trial = tried(
                champion,
                challenger.version,
                lesson.sides["test"],
                self._file.gate,
                threads=self._file.budget.threads,
                beside=self._beside,
                check=check,
            )
            seed = self._file.strategy.seed
            verdict = judge(trial.compared, self._file.gate, look, seed).unless(trial.problems)
        except TooLittleError as error:
            return Result(Verdict("inconclusive", (str(error),)), None, None)
        except (ModelError, OutOfTimeError) as error:
            return Result(Verdict("reject", (str(error),)), challenger, None)
        return Result(verdict, challenger, trial)

    def _judged(self, run: Run, lesson: Lesson, result: Result, of_set: Mapping[str, Any]) -> Run:
        """Keep what came of it: in the registry if it has passed, else beside its report.

        Verdict and report come first: whoever finds the version has them, too.
        """
        verdict, challenger = result.verdict, result.challenger
        self._reaches("writes")
        run = self.runs.keep(
            run,
            verdict=verdict.decision,
            reasons=verdict.reasons,
            figures=verdict.figures,
            ended=now(),
        )
        more: dict[str, Any] = {
            "model": self._file.name,
            "strategy": self._file.strategy.model_dump(mode="json"),
            **of_set,
            "libraries": _libraries(),
            **(result.trial.figures if result.trial is not None else {}),
        }
        told = json_report(run, lesson, verdict, challenger, more)
        write_report(self._place, run, told, result.trial)
        if verdict.decision == "promote" and challenger is not None:
            version = self._registered(run, lesson, verdict, challenger)
            run = self.runs.keep(run, stage="registered", version=version)
            return name_version(self._place, run)
        if challenger is not None:
            folder = challenger.version.folder
            for kept in sorted(one for one in folder.rglob("*") if one.is_file()):
                name = kept.relative_to(folder).as_posix()
                self._place.write(f"{run.folder}/challenger/{name}", kept.read_bytes())
        return self.runs.keep(run, stage="registered")

    def _registered(
        self, run: Run, lesson: Lesson, verdict: Verdict, challenger: Challenger
    ) -> str:
        """Write the challenger into the registry; the number is the next one that is free."""
        figures = verdict.figures
        metrics = {
            _SHOWN.get(figures["metric"], figures["metric"]): round(figures["challenger"], 4),
            "gain": round(figures["gain"], 4),
            "gain_interval": [round(one, 4) for one in figures["interval"]],
            "held_out_records": figures["examples"],
        }
        lineage = {
            "parent": run.champion,
            "seed": self._file.strategy.seed,
            "strategy": self._file.strategy.kind,
            "set": {"version": lesson.version, "digest": lesson.digest},
            "examples": {side: len(part.examples) for side, part in lesson.sides.items()},
            "libraries": _libraries(),
            "run": _token(run),
        }
        self._still_mine()
        for attempt in range(_TRIES):
            number = next_version(self.registry.versions(self._file.name))
            packed: Packed = pack(
                challenger.version,
                name=self._file.name,
                number=number,
                metrics=metrics,
                lineage=lineage,
            )
            try:
                number = self.registry.add(packed)
            except ConfigError:
                if attempt == _TRIES - 1:
                    raise
                continue  # somebody has added a version meanwhile
            self._log.info("written into the registry", version=number, run=run.number)
            return number
        raise AssertionError

    def _ended(self, run: Run) -> Run:
        """Bring a run's version into service as the file says, and end the run."""
        if run.version is not None and not self._known(run.version):
            self._still_mine()
            self._reaches("deploys")
            try:
                self._rolled_out(run, run.version)
            except ChangedMeanwhileError as error:
                self._log.warning("not rolled out", version=run.version, error=str(error))
                run = self.runs.keep(run, reasons=(*run.reasons, f"not rolled out: {error}"))
        else:
            self._tell(run, f"retrain: {run.verdict}", "; ".join(run.reasons))
        run = self.runs.keep(run, stage="done", ended=run.ended or now())
        self._log.info(
            "a run has ended",
            run=run.number,
            verdict=run.verdict,
            version=run.version,
            reasons="; ".join(run.reasons),
        )
        return run

    def _rolled_out(self, run: Run, version: str) -> None:
        plan, name = self._file.rollout, self._file.name
        reason = f"run {run.number}: {'; '.join(run.reasons)}"
        if plan.mode == "approve":
            wanted = Deployment(champion=version, by=_BY, reason=reason)
            self._tell(run, "retrain: awaits approval", reason, after=wanted)
        elif plan.mode == "promote":
            decide = promoting(version, by=_BY, reason=reason, expected=run.champion)
            self._ledger.change(name, "promote", decide)
        else:
            given: dict[str, Any] = {
                **plan.rules,
                "mode": plan.mode,
                "share": plan.share,
                "max_time": plan.max_time,
            }
            rollout = Rollout.read(given)
            then = trying(version, rollout, by=_BY, reason=reason, expected=run.champion)
            self._ledger.change(name, plan.mode, then)

    def _known(self, version: str) -> bool:
        """Whether what is deployed, or was, speaks of a version already."""
        entries = [entry.after for entry in self._ledger.history(self._file.name)]
        return any(one is not None and version in (one.champion, one.candidate) for one in entries)

    def _written_by(self, run: Run) -> str | None:
        """Find the version in the registry that a run has written."""
        for version in reversed(self.registry.versions(self._file.name)):
            try:
                manifest = self.registry.manifest(self._file.name, version)
            except (ConfigError, ModelError):  # somebody else's: ours has one that can be read
                continue
            if (manifest.lineage.model_extra or {}).get("run") == _token(run):
                return version
        return None

    def _still_mine(self) -> None:
        if not self._mine():
            raise NotNowError("another sidecar has taken over")

    def _tell(self, run: Run, action: str, reason: str, after: Deployment | None = None) -> None:
        """Put a step of a run into the model's history."""
        event = Changed(
            at=time_now(),
            model=self._file.name,
            action=action,
            by=_BY,
            reason=f"run {run.number}: {reason}" if after is None else reason,
            after=after,
        )
        self._ledger.note(event)


def _token(run: Run) -> str:
    return f"{run.number} of {run.began}, {run.digest[:16]}"


def _libraries() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError

    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = library_version(name)
        except PackageNotFoundError:
            continue
    return found

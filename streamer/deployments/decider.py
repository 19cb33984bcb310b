"""The one that decides about rollouts, for the whole fleet."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Event, Thread

import structlog

from streamer.broker import Lease, backoff
from streamer.config import Settings
from streamer.config.settings import DeploymentSettings
from streamer.deployments.counts import Poll
from streamer.deployments.deployment import ChangedMeanwhileError, Deployment, now
from streamer.deployments.events import Changed, Fleet
from streamer.deployments.ledger import Decide, Ledger, promoting, rolling_back
from streamer.deployments.marks import Marks
from streamer.deployments.rollout import Rollout
from streamer.deployments.rules import Verdict, judged
from streamer.deployments.topics import Tail
from streamer.errors import ConfigError, StreamerError
from streamer.records import Record

GROUP = "streamer-decider"
_LOOK_EVERY_S = 1.0
_STOPPED_WITHIN_S = 10.0


class Decider:
    """Sums the counts of all daemons and, by a rollout's rules, promotes or takes back.

    Every daemon has one; the one that owns the single partition of the events topic, in a group of
    their own, decides. What it writes is a compare-and-set: two that both believe to be the one
    can't both be obeyed.

    Args:
        settings: where the brokers are, and the topics' names.
        who: whose decisions they are, for the history.
        marks: shows in the registry what serves, where that has marks for it.
    """

    def __init__(self, settings: Settings, who: str, marks: Marks | None = None) -> None:
        self._settings = settings
        self._marks = marks
        self._by = f"the rules, on {who}"
        self._log = structlog.get_logger("decider")
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="decider", daemon=True)
        self._told: dict[str, tuple[str, str]] = {}
        self.decides = False
        self.verdicts: Mapping[str, Verdict] = {}

    def start(self) -> None:
        """Stand for election, and decide while elected."""
        self._thread.start()

    def stop(self) -> None:
        """Step down."""
        self._stopping.set()
        self._thread.join(_STOPPED_WITHIN_S)
        if self._marks is not None:
            self._marks.close()

    def status(self) -> dict[str, object]:
        """Give whether this process decides, and how rollouts stand."""
        return {
            "decides": self.decides,
            "rollouts": {
                model: {"verdict": verdict.decision, "reasons": list(verdict.reasons)}
                for model, verdict in self.verdicts.items()
            },
        }

    def _run(self) -> None:
        tries = 0
        while not self._stopping.is_set():
            try:
                self._stand()
                tries = 0
            except StreamerError as error:
                self._log.warning("rollouts cannot be decided, trying again", error=str(error))
                tries += 1
                self._stopping.wait(backoff(tries))
            except Exception as error:  # noqa: BLE001 - another daemon decides meanwhile
                told = f"{type(error).__name__}: {error}"
                self._log.error("deciding about rollouts failed, trying again", error=told)
                tries += 1
                self._stopping.wait(backoff(tries))
            finally:
                self.decides, self.verdicts = False, {}

    def _stand(self) -> None:
        """Wait for the lease, and decide as long as it is held."""
        names = self._settings.deployments
        with ExitStack() as opened:
            lease = Lease(self._settings.kafka, group_of(names), names.events_topic)
            opened.callback(lease.close)
            view: View | None = None
            while not self._stopping.is_set():
                if not lease.held(_LOOK_EVERY_S):
                    if view is not None:
                        view.close()
                    self.decides, view = False, None
                    continue
                if view is None:
                    view = View(self._settings)
                    opened.callback(view.close)
                    if self._marks is not None:
                        self._marks.afresh()
                    self._log.info("decides about rollouts")
                self.decides = True
                view.look()
                if self._marks is not None:
                    self._marks.want(view.deployments)
                self.verdicts = dict(self._decided(view))

    def _decided(self, view: "View") -> Iterator[tuple[str, Verdict]]:
        for model, deployment in view.deployments.items():
            try:
                rollout = Rollout.of(deployment)
            except ConfigError as error:
                self._tell(view, model, deployment, Verdict("wait", (str(error),)))
                continue
            if rollout is not None:
                verdict = view.verdict(model, deployment, rollout)
                self._act(view, model, deployment, rollout, verdict)
                yield model, verdict

    def _act(
        self, view: "View", model: str, deployment: Deployment, rollout: Rollout, verdict: Verdict
    ) -> None:
        decision, free = verdict.decision, rollout.decide if rollout.mode != "ab" else "nothing"
        reason = "; ".join(verdict.reasons)
        back = rolling_back(by=self._by, reason=reason)
        if decision == "promote" and free == "all" and deployment.candidate is not None:
            then = promoting(deployment.candidate, by=self._by, reason=reason)
            self._change(view, model, "promote", deployment, then)
        elif decision == "rollback" and free != "nothing":
            self._change(view, model, "rollback", deployment, back)
        elif decision == "inconclusive" and free != "nothing" and rollout.on_inconclusive != "keep":
            self._change(view, model, "inconclusive", deployment, back)
        elif decision != "wait":
            self._tell(view, model, deployment, verdict)

    def _change(
        self, view: "View", model: str, action: str, deployment: Deployment, then: Decide
    ) -> None:
        def decide(found: Deployment | None) -> Deployment:
            if found != deployment:
                raise ChangedMeanwhileError("somebody else has decided meanwhile")
            return then(found)

        try:
            written = view.ledger.change(model, action, decide)
        except ChangedMeanwhileError as error:
            self._log.info("nothing to decide any more", model=model, told=str(error))
            return
        self._log.info(
            "decided", model=model, action=action, serves=written.champion, reason=written.reason
        )

    def _tell(self, view: "View", model: str, deployment: Deployment, verdict: Verdict) -> None:
        """Put a verdict that nobody acts on into the history, once."""
        said = (deployment.at, verdict.decision)
        if self._told.get(model) == said:
            return
        self._told[model] = said
        view.ledger.note(
            Changed(
                at=now(),
                model=model,
                action=f"verdict: {verdict.decision}",
                by=self._by,
                reason="; ".join(verdict.reasons),
                before=deployment,
                after=deployment,
            )
        )


def group_of(names: DeploymentSettings) -> str:
    """Name the group that is elected from; environments with topics of their own have their own."""
    standard = DeploymentSettings().events_topic
    return GROUP if names.events_topic == standard else f"{GROUP}-{names.events_topic}"


class View:
    """What the decider sees: what is deployed, who lives, and all counts."""

    def __init__(self, settings: Settings) -> None:
        self.ledger = Ledger(settings)
        self._events = Tail(settings, settings.deployments.events_topic)
        self._topic = Tail(settings, settings.deployments.topic)
        self._fleet, self._poll = Fleet(), Poll()
        self.deployments: dict[str, Deployment] = {}

    def look(self) -> None:
        """Read both topics to their ends."""
        for record in self._events.to_end():
            self._fleet.note(record)
            self._poll.note(record)
        for record in self._topic.to_end():
            self._note(record)

    def _note(self, record: Record) -> None:
        model = (record.key or b"").decode(errors="replace")
        deployment = Deployment.read(record.value)
        if deployment is not None:
            self.deployments[model] = deployment
        elif record.value is None:
            self.deployments.pop(model, None)

    def verdict(self, model: str, deployment: Deployment, rollout: Rollout) -> Verdict:
        """Judge a rollout by what is known of it."""
        alive = list(self._fleet.serving(model, time.time()))
        if not alive:
            return Verdict("wait", ("no living daemon serves the model",))
        began = datetime.fromisoformat(deployment.at)
        elapsed = (datetime.now(UTC) - began).total_seconds()
        return judged(rollout, self._poll.evidence(model, deployment.at, alive, elapsed))

    def close(self) -> None:
        """Close the connections."""
        self._events.close()
        self._topic.close()

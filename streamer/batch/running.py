"""What batches cost while they serve: corrects what was learnt before the first record."""

from threading import Lock

_KEPT = 1 - 1 / 512
"""Of a batch's weight when the next one comes: some five hundred count."""
_LOOK_EVERY = 256
_LEAST_SPREAD = 0.05
"""Of the costs, relative to their mean, squared: of batches all alike no line can be told."""
_APART = 1.25
_FARTHEST = 4.0


class Running:
    """Fits seconds = fixed + cost x each to batches as they are run, relative errors squared.

    Costs differ by more than their number of tokens (attention grows with the square), so what is
    seen moves the overhead that was learnt by a factor of four at the most.

    Args:
        overhead: what a run costs besides its items, as learnt at the start, in units of cost.
    """

    def __init__(self, overhead: int) -> None:
        self._first = overhead
        self._now = overhead
        self._lock = Lock()
        self._batches = 0
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)

    def ran(self, cost: int, seconds: float) -> int | None:
        """Note a batch; give the overhead where it is now clearly another one."""
        weight = 1 / max(seconds, 1e-6) ** 2
        with self._lock:
            news = (1.0, cost, seconds, cost * cost, cost * seconds)
            self._sums = tuple(  # type: ignore[assignment]
                _KEPT * old + weight * new for old, new in zip(self._sums, news, strict=True)
            )
            self._batches += 1
            if self._batches % _LOOK_EVERY:
                return None
            found = self._overhead()
            if found is None or 1 / _APART < found / self._now < _APART:
                return None
            self._now = found
            return found

    def _overhead(self) -> int | None:
        total, costs, seconds, squares, products = self._sums
        mean_cost, mean_seconds = costs / total, seconds / total
        spread = squares / total - mean_cost**2
        together = products / total - mean_cost * mean_seconds
        if spread < _LEAST_SPREAD * mean_cost**2 or together <= 0:
            return None
        each = together / spread
        seen = (mean_seconds - each * mean_cost) / each
        least, most = self._first / _FARTHEST, self._first * _FARTHEST
        return max(round(min(max(seen, least), most)), 1)

"""How long to wait before trying again."""

import random

_MOST_S = 5.0


def backoff(tries: int, first: float = 0.05) -> float:
    """Give seconds to wait: twice as long with each try, at most 5, half of it by chance.

    The chance keeps replicas that failed together from coming back together (AWS Architecture Blog,
    "Exponential Backoff And Jitter").

    Args:
        tries: how often it has failed before, from 0.
        first: seconds after the first failure, without the chance.
    """
    longest = min(first * 2.0 ** min(tries, 32), _MOST_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - chance, no secret

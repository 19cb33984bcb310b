"""Text architectures that are compared with transformers, by task."""

CASES: tuple[tuple[str, str], ...] = ()

"""Names: what the detector calls a sign, and the finer kinds the classifier tells apart."""

LABELS = (
    "stop",
    "yield",
    "no-entry",
    "speed-limit",
    "warning",
    "priority",
    "mandatory",
    "crossing",
    "parking",
    "no-stopping",
)
"""The detector's labels, in the order of its output."""

KINDS = (
    "stop",
    "yield",
    "no-entry",
    "speed-limit-30",
    "speed-limit-50",
    "speed-limit-80",
    "speed-limit-100",
    "warning-bend",
    "warning-crossroads",
    "warning-bumps",
    "priority",
    "mandatory-ahead",
    "mandatory-left",
    "mandatory-right",
    "crossing",
    "parking",
    "no-stopping",
)
"""The classifier's labels, in the order of its output."""


def label_of(kind: str) -> str:
    """Give the detector's label of a kind: `speed-limit-30` is a `speed-limit`."""
    return next(label for label in LABELS if kind == label or kind.startswith(f"{label}-"))

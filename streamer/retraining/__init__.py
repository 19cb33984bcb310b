"""The sidecar that learns from labels: the labelled set, strategies, the gate, the report."""

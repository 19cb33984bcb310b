"""Models that grade: one to five stars, instead of labels that have no order."""

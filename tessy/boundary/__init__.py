"""Boundary predictors: from a model's raw thinking to a switch between authors (paper, section 3)."""

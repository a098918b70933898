"""File names by which one stage's artifact is read in another, apart from both: who reads what a model wrote
need not load what runs models."""

TRAJECTORIES = "trajectories.parquet"
SYNTHESIS = "synthesis.json"
"""What a method wrote in numbers, beside its trajectories."""
ANNOTATIONS = "annotations.json"
"""How annotation went: segments, outcomes by reason, agreement."""
SWITCHES = "switches.json"
"""Trained predictors and other switches against the generator's truth."""
RIGHT_TRACES = "right_traces.json"
"""What `switch_verdicts` says of the switches' traces: by switch, the share whose program is right."""

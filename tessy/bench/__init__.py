"""Measurements: how fast synthesis, predictors, the judge and training are on this machine.

Everything here is measured, nothing is asserted; `make bench` writes `runs/bench/results.json`.
"""

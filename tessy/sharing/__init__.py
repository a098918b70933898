"""Traces and models for others: files that other tools train on, and repositories with cards.

shapes.py     a trajectory as messages, ShareGPT's turns or Alpaca's columns
files.py      such rows as a file; whether the student's template gives the ids back
lineage.py    what an artifact was made of, from the manifests of its run
licences.py   terms of models and sets, where they are known
cards.py      README.md of a data set or model repository
publishing.py the folder of a repository, and its upload

Not covered: reading what others made (`tessy.sources`).
"""

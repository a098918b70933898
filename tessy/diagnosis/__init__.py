"""What a training set would ask of a student: how surprising its text is, and what is wrong with it. Pure.

responses.py    a response to a prompt, from a trajectory or from somebody else's set, and its faults
tokens.py       a response's tokens with the student's nll and kind: style, capability, answer, markup
summary.py      a set beside the student's own traces: nll by kind, lengths, repetition, truncation
phrases.py      the style phrases that surprise the student most
similarity.py   TF-IDF similarity of two sets
prediction.py   how well such a gap predicted what training did

Not covered: who computes the nll (`tessy.engines.likelihood`) and who writes the student's own traces
(`tessy.commands.diagnose`).
"""

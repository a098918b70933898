"""The work of the stage `curation` around the pure rules of `tessy.curation`: sources, passes, selection,
output.

Not covered: the rules themselves.
"""

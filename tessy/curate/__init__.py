"""The work of the stage `curation` around the pure `tessy.curation_rules`: sources, passes, selection,
output.

Not covered: the rules themselves.
"""

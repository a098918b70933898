"""Rules of curation, pure: is a prompt usable, is it new, is it a benchmark's, is it held out?

Text in, findings out, and compact arrays between the passes over a source. Nothing here reads files, knows a
stage or keeps texts: `describe` sees a chunk of rows once, and everything after it works on its arrays.

Not covered: sources, selection, sampling, progress and reports (`tessy.stages`).
"""

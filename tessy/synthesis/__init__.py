"""Stage 1: writing training responses with one model or two."""

"""TESSY: teacher and student write each training trace together (arXiv 2604.14164).

The spine (recipe, artifacts, pipeline, tracking, records) and the first stage, synthesis.
Importing this package loads nothing heavy; the rooms are imported where they are used.
"""

__version__ = "0.1.0"

"""TESSY: teacher and student write each training trace together (arXiv 2604.14164).

Recipes, artifacts, the stage runner, tracking, records, and the first step, synthesis.
Importing this package loads no large library; subpackages are imported where they are used.
"""

__version__ = "0.1.0"

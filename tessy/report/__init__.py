"""What came out of a run: one self-contained page, `results.json`, and a table for the terminal.

Pure functions over plain data. Not covered: collecting that data from artifacts (the pipeline's
report stage does), and computing scores and intervals (`eval` does).
"""

from tessy.report.page import LineageRow, ReportInput, write_report
from tessy.report.table import terminal_table

__all__ = ["LineageRow", "ReportInput", "terminal_table", "write_report"]

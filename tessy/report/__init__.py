"""The results of a run: a self-contained HTML page, `results.json`, and a table for the terminal.

Pure functions over plain data. Not covered: collecting that data from artifacts (`tessy.stages.report`).
"""

from tessy.report.page import LineageRow, ReportInput, write_report
from tessy.report.table import terminal_table

__all__ = ["LineageRow", "ReportInput", "terminal_table", "write_report"]

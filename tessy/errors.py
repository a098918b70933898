"""The one error a user is meant to read: it names the field, the value, the rule and the remedy.

Everything else that escapes is a fault of this program and keeps its traceback.
"""

from __future__ import annotations


class UserError(ValueError):
    """Unusable input. Commands print the message without a traceback and exit with 2."""

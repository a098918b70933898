"""Units as a response may write them: their size in the units that others are multiples of. Pure.

Not covered: temperatures in degrees, which are no multiples of a kelvin.
"""

from __future__ import annotations

import math

_PREFIXES = {
    "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12,
    "f": 1e-15,
}  # fmt: skip
_BASE = ("m", "g", "s", "A", "K", "mol", "cd")
_DERIVED: dict[str, tuple[float, dict[str, int]]] = {
    "N": (1e3, {"m": 1, "g": 1, "s": -2}),
    "J": (1e3, {"m": 2, "g": 1, "s": -2}),
    "W": (1e3, {"m": 2, "g": 1, "s": -3}),
    "Pa": (1e3, {"m": -1, "g": 1, "s": -2}),
    "Hz": (1.0, {"s": -1}),
    "C": (1.0, {"A": 1, "s": 1}),
    "V": (1e3, {"m": 2, "g": 1, "s": -3, "A": -1}),
    "T": (1e3, {"g": 1, "s": -2, "A": -1}),
    "F": (1e-3, {"m": -2, "g": -1, "s": 4, "A": 2}),
    "H": (1e3, {"m": 2, "g": 1, "s": -2, "A": -2}),
    "Wb": (1e3, {"m": 2, "g": 1, "s": -2, "A": -1}),
    "eV": (1.602176634e-16, {"m": 2, "g": 1, "s": -2}),
    "L": (1e-3, {"m": 3}),
}
_OTHERS: dict[str, tuple[float, dict[str, int]]] = {
    "percent": (0.01, {}),
    "degree": (math.pi / 180, {}),
    "rad": (1.0, {}),
    "sr": (1.0, {}),
    "min": (60.0, {"s": 1}),
    "h": (3600.0, {"s": 1}),
    "hours": (3600.0, {"s": 1}),
    "minutes": (60.0, {"s": 1}),
    "seconds": (1.0, {"s": 1}),
    "meters": (1.0, {"m": 1}),
    "metres": (1.0, {"m": 1}),
    "angstrom": (1e-10, {"m": 1}),
    "celsius": (1.0, {"celsius": 1}),
    "degrees": (math.pi / 180, {}),
    "radians": (1.0, {}),
}


def _all_units() -> dict[str, tuple[float, dict[str, int]]]:
    known = {unit: (1.0, {unit: 1}) for unit in _BASE} | _DERIVED
    prefixed = {
        prefix + unit: (size * factor, dimensions)
        for unit, (factor, dimensions) in known.items()
        for prefix, size in _PREFIXES.items()
    }
    return prefixed | known | _OTHERS


UNITS = _all_units()
"""Every unit's factor and the powers of the base units it stands for."""

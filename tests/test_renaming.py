"""Every field of a recipe is typed up to the code that uses it."""

from __future__ import annotations

import pytest

from tests.renaming import unnoticed


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_mypy_fails_when_any_field_of_a_recipe_or_a_stage_is_renamed() -> None:
    assert unnoticed() == []

"""From a recipe to results: which stages there are, which may be reused, and running the others."""

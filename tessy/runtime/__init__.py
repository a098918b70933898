"""Plans, reuses and runs the stages of a recipe."""

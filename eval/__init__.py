"""Stage 3: benchmarks, generation, the sandboxed judge and scores."""

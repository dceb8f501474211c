"""Cross-method benchmarks: expand a suite into runs, carry them out on Ray Tune, score them, write the rows."""

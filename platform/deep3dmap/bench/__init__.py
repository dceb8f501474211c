"""Cross-method benchmarks: expand a suite into runs, execute them on Ray Tune, score them, and write the result rows."""

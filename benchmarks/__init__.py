"""The built-in suites, one package each, and `kernels`, the speed benchmarks."""

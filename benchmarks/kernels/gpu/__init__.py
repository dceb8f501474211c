"""Checks and benchmarks for a machine with a GPU: parity with the CPU, kernel timings, trainings on the command line."""

"""What a machine with a GPU is good for: parity with the CPU, a table of kernels, trainings through the command line."""

// Sparse convolution, voxelisation and devoxelisation on the CPU. csrc/cuda/sparse.h is the CUDA counterpart.
//
// Python functions, each with the suffix _cpu or _cuda. Tensors are contiguous; outputs are allocated by Python and fully
// overwritten (no need to clear them). The last argument is the number of threads or the stream, added by
// deep3dmap.ops._backend.run_native:
//
//   sparse_lookup(coordinates (N, 4) i32, queries (Q, 4) i32, rows (Q,) i64 out)
//       rows of the queries, -1 = absent. Coordinates are unique and in range (batch 0..511, axes -131072..131071); queries that
//       are out of range are absent.
//   sparse_neighbours(inputs (N, 4) i32, outputs (M, 4) i32, offsets (K, 3) i32, table (K, M) i32 out)
//       table[k, o] = row i with inputs[i] == outputs[o] + offsets[k], or -1. On the CPU, if inputs and outputs are the same tensor
//       and offsets[K - 1 - k] == -offsets[k], only half of the offsets are looked up.
//   sparse_pair_counts(table (K, M) i32, counts (K,) i64 out)
//       the number of pairs of each offset. CPU only, like the next function; on CUDA sparse_map and sparse_map_pairs do both.
//   sparse_pairs(table (K, M) i32, splits (K + 1,) i64 CPU, in_rows (P,) i32 out, out_rows (P,) i32 out)
//       converts the table to pairs; splits = [0, counts.cumsum]. Output rows ascend within an offset.
//   sparse_conv_forward(features (N, Cin), weight (K, Cin, Cout), in_rows (P,) i32, out_rows (P,) i32, splits (K + 1,) i64 CPU,
//                       result (M, Cout) out)
//       On the CPU pairs may be arbitrary and in any order; on CUDA an output row occurs at most once per offset, as in a kernel
//       map. The transposed convolution and the gradient of the features are this function with in_rows and out_rows swapped.
//   sparse_conv_weight_gradient(features (N, Cin), gradient (M, Cout), in_rows, out_rows, splits, result (K, Cin, Cout) out)
//   sparse_voxelize_forward(features (P, C), rows (P,) i64 with -1 = none, mean (cells, C) out, counts (cells,) i32 out)
//   sparse_voxelize_backward(grad_mean (cells, C), rows (P,) i64, counts (cells,) i32, grad_features (P, C) out)
//   sparse_devoxelize_forward(features (N, C), rows (P, 8) i64 with -1 = absent, weights (P, 8), out (P, C) out)
//   sparse_devoxelize_backward(grad (P, C), rows (P, 8) i64, weights (P, 8), grad_features (N, C) out)
//       with respect to features only.
//
// Floating-point tensors are float32. On the CPU results do not depend on the number of threads: each value is summed by one
// thread, in an order determined by the data alone. Rows out of range raise std::invalid_argument (ValueError) on the CPU.
#pragma once

#include "kernels/sparse.h"

namespace deep3dmap::cpu {

void sparse_lookup(const int32_t* coordinates, int64_t count, const int32_t* queries, int64_t query_count, int64_t* rows, int threads);

void sparse_neighbours(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count,
                       const int32_t* offsets, int64_t offset_count, int32_t* table, int threads);

void sparse_pair_counts(const int32_t* table, int64_t offset_count, int64_t outputs, int64_t* counts, int threads);

void sparse_pairs(const int32_t* table, int64_t outputs, const int64_t* splits, int64_t offset_count, int32_t* in_rows,
                  int32_t* out_rows, int threads);

void sparse_conv_forward(const SparsePairs& pairs, const float* features, const float* weight, int64_t c_in, int64_t c_out,
                         float* result, int threads);

void sparse_conv_weight_gradient(const SparsePairs& pairs, const float* features, const float* gradient, int64_t c_in, int64_t c_out,
                                 float* result, int threads);

void sparse_voxelize_forward(const float* features, const int64_t* rows, int64_t points, int64_t channels, int64_t cells, float* mean,
                             int32_t* counts, int threads);

void sparse_voxelize_backward(const float* grad_mean, const int64_t* rows, const int32_t* counts, int64_t points, int64_t channels,
                              int64_t cells, float* grad_features, int threads);

void sparse_devoxelize_forward(const float* features, const int64_t* rows, const float* weights, int64_t points, int64_t channels,
                               int64_t cells, float* out, int threads);

void sparse_devoxelize_backward(const float* grad, const int64_t* rows, const float* weights, int64_t points, int64_t channels,
                                int64_t cells, float* grad_features, int threads);

}  // namespace deep3dmap::cpu

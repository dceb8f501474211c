// CUDA launchers of the sparse kernels; see csrc/cpu/sparse.h for their definition. All pointers are device memory, except the
// splits of the offsets; `stream` is a cudaStream_t as an integer. Scratch memory comes from the pool of the stream. The
// launchers are asynchronous and throw std::runtime_error if a launch or an allocation fails. Rows are not range-checked here.
//
// All except sparse_voxelize_forward and sparse_devoxelize_backward, which use atomic additions, sum in a fixed order.
#pragma once

#include "kernels/sparse.h"

namespace deep3dmap::cuda {

void sparse_lookup(const int32_t* coordinates, int64_t count, const int32_t* queries, int64_t query_count, int64_t* rows,
                   uint64_t stream);

void sparse_neighbours(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count,
                       const int32_t* offsets, int64_t offset_count, int32_t* table, uint64_t stream);

// Computes the table of neighbours like sparse_neighbours, and the positions of its pairs. offsets: on the host. keys, rows:
// scratch of the smallest power of two that is at least twice the inputs and at least 2. places: (offsets, parts of kSparsePart
// outputs), number of pairs before each part. heads: (offsets + 2), number of pairs before each offset and in total, followed by
// a bit mask: 1 if an input was out of range, 2 if an output was.
constexpr int64_t kSparsePart = 256;
void sparse_map(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count, const int32_t* offsets,
                int64_t offset_count, int64_t* keys, int32_t* rows, int32_t* table, int64_t* places, int64_t* heads, uint64_t stream);

// Converts the table to pairs; output rows ascend within an offset.
void sparse_map_pairs(const int32_t* table, int64_t outputs, int64_t offset_count, const int64_t* places, int32_t* in_rows,
                      int32_t* out_rows, uint64_t stream);

void sparse_conv_forward(const SparsePairs& pairs, const float* features, const float* weight, int64_t c_in, int64_t c_out,
                         float* result, uint64_t stream);

void sparse_conv_weight_gradient(const SparsePairs& pairs, const float* features, const float* gradient, int64_t c_in, int64_t c_out,
                                 float* result, uint64_t stream);

void sparse_voxelize_forward(const float* features, const int64_t* rows, int64_t points, int64_t channels, int64_t cells, float* mean,
                             int32_t* counts, uint64_t stream);

void sparse_voxelize_backward(const float* grad_mean, const int64_t* rows, const int32_t* counts, int64_t points, int64_t channels,
                              int64_t cells, float* grad_features, uint64_t stream);

void sparse_devoxelize_forward(const float* features, const int64_t* rows, const float* weights, int64_t points, int64_t channels,
                               int64_t cells, float* out, uint64_t stream);

void sparse_devoxelize_backward(const float* grad, const int64_t* rows, const float* weights, int64_t points, int64_t channels,
                                int64_t cells, float* grad_features, uint64_t stream);

}  // namespace deep3dmap::cuda

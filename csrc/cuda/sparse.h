// Launchers of the sparse kernels on CUDA; csrc/cpu/sparse.h says what they compute. All pointers are device memory, except offsets'
// splits; `stream` is a cudaStream_t as an integer. Scratch memory comes from the stream's pool. They return at once and throw
// std::runtime_error where a launch or an allocation fails. Rows out of range are not looked for here.
//
// All but sparse_voxelize_forward and sparse_devoxelize_backward sum in a fixed order; these two add atomically.
#pragma once

#include "kernels/sparse.h"

namespace deep3dmap::cuda {

void sparse_lookup(const int32_t* coordinates, int64_t count, const int32_t* queries, int64_t query_count, int64_t* rows,
                   uint64_t stream);

void sparse_neighbours(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count,
                       const int32_t* offsets, int64_t offset_count, int32_t* table, uint64_t stream);

// The table of neighbours as sparse_neighbours makes it, and where its pairs go. offsets: on the host. keys, rows: scratch, the power
// of two from twice the inputs, at least 2. places: (offsets, parts of kSparsePart outputs), the number of pairs before each part.
// heads: (offsets + 2), the number of pairs before each offset and of all, then 1 if an input was out of range plus 2 if an output.
constexpr int64_t kSparsePart = 256;
void sparse_map(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count, const int32_t* offsets,
                int64_t offset_count, int64_t* keys, int32_t* rows, int32_t* table, int64_t* places, int64_t* heads, uint64_t stream);

// The table as pairs; output rows ascend within an offset.
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

// Sparse convolution as gathered matrix products: on tensor cores in TF32 or half precision with float32 accumulation, or fully in
// float32. Requires compute capability 8.0 or later.
#pragma once

#include "kernels/sparse.h"

namespace deep3dmap::cuda {

enum class Numbers { float32, tf32, half, bfloat16 };

// A float32 that is multiplied in full precision.
struct Exact {
  float value;
};

// features: (inputs, c_in); filters: (offsets, c_out, c_in), of one type, c_in a multiple of 16 bytes, aligned to 16 bytes.
// table: scratch, (offsets, outputs). result: (outputs, c_out) of that type, overwritten. An output row occurs at most once per offset.
void sparse_tensor_forward(const SparsePairs& pairs, Numbers numbers, const void* features, const void* filters, int64_t c_in,
                           int64_t c_out, int32_t* table, void* result, uint64_t stream);

// features: (inputs, c_in); gradient: (outputs, c_out), as above. Pairs are summed in segments of `length`, a multiple of 32,
// that do not cross offsets; sums: scratch, (segments, c_in, c_out). result: (offsets, c_in, c_out) of that type. All sums have a
// fixed order.
void sparse_tensor_weight_gradient(const SparsePairs& pairs, Numbers numbers, const void* features, const void* gradient, int64_t c_in,
                                   int64_t c_out, int64_t length, float* sums, void* result, uint64_t stream);

}  // namespace deep3dmap::cuda

#pragma once

#include <cstdint>

namespace deep3dmap::cuda {

// out[s, c] = sum over i from starts[s] to starts[s + 1] of weights[order[i]] * values[order[i] / entries_per_row, c], in that order;
// without weights each is 1. Deterministic replacement for scattering with atomics. values: (R, C); out: (S, C); all on the device.
void segment_sum(const float* values, const int64_t* order, const int64_t* starts, const float* weights, int64_t entries_per_row,
                 int64_t segments, int64_t channels, float* out, uint64_t stream);

}  // namespace deep3dmap::cuda

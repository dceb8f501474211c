#include "cuda/segment_sum.h"

#include "cuda/check.cuh"

namespace deep3dmap::cuda {
namespace {

// One thread per channel and segment, channels fastest.
__global__ void sum_segments(const float* values, const int64_t* order, const int64_t* starts, const float* weights,
                             int64_t entries_per_row, int64_t segments, int64_t channels, float* out) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < segments * channels; item += stride) {
    const int64_t segment = item / channels, channel = item - segment * channels;
    float sum = 0.f;
    for (int64_t i = starts[segment]; i < starts[segment + 1]; ++i) {
      const int64_t entry = order[i];
      const float value = values[entry / entries_per_row * channels + channel];
      sum += weights ? weights[entry] * value : value;
    }
    out[item] = sum;
  }
}

}  // namespace

void segment_sum(const float* values, const int64_t* order, const int64_t* starts, const float* weights, int64_t entries_per_row,
                 int64_t segments, int64_t channels, float* out, uint64_t stream) {
  if (segments * channels == 0) return;
  sum_segments<<<blocks_for(segments * channels), kThreads, 0, as_stream(stream)>>>(values, order, starts, weights, entries_per_row,
                                                                                   segments, channels, out);
  check_launch("segment_sum");
}

}  // namespace deep3dmap::cuda

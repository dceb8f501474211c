#include "cuda/check.cuh"
#include "cuda/radiance.h"
#include "cuda/sums.cuh"

namespace deep3dmap::cuda {
namespace {

// One thread per level and point, points fastest: the threads of a warp read the same level, which stays in the cache.
__global__ void hash_grid_gather(HashGridLevels levels, const float* positions, int64_t count, const float* table, float* output) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < count * levels.count; item += step) {
    const int level = static_cast<int>(item / count);
    const int64_t point = item - level * count;
    const float* at = positions + 3 * point;
    const HashGridCell cell = hash_grid_cell(at[0], at[1], at[2], levels.resolution[level]);
    uint32_t entries[kHashGridCorners];
    for (int corner = 0; corner < kHashGridCorners; ++corner) entries[corner] = hash_grid_entry(levels, level, cell, corner);
    float* out = output + (point * levels.count + level) * levels.features;
    for (int feature = 0; feature < levels.features; ++feature) {
      float sum = 0.f;
      for (int corner = 0; corner < kHashGridCorners; ++corner)
        sum += hash_grid_weight(cell, corner) * table[(levels.offset[level] + entries[corner]) * levels.features + feature];
      out[feature] = sum;
    }
  }
}

// Same thread layout as above.
template <typename Sums>
__global__ void hash_grid_scatter(HashGridLevels levels, const float* positions, int64_t count, const float* grad_output, Sums sums) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < count * levels.count; item += step) {
    const int level = static_cast<int>(item / count);
    const int64_t point = item - level * count;
    const float* at = positions + 3 * point;
    const HashGridCell cell = hash_grid_cell(at[0], at[1], at[2], levels.resolution[level]);
    const float* grad = grad_output + (point * levels.count + level) * levels.features;
    for (int corner = 0; corner < kHashGridCorners; ++corner) {
      const float weight = hash_grid_weight(cell, corner);
      const int64_t entry = (levels.offset[level] + hash_grid_entry(levels, level, cell, corner)) * levels.features;
      for (int feature = 0; feature < levels.features; ++feature) sums.add(entry + feature, weight * grad[feature]);
    }
  }
}

__global__ void hash_grid_slopes(HashGridLevels levels, const float* positions, int64_t count, const float* table,
                                 const float* grad_output, float* grad_positions) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x, stride = static_cast<int64_t>(levels.count) * levels.features;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    hash_grid_position_gradient(levels, positions + 3 * i, table, grad_output + i * stride, grad_positions + 3 * i);
}

template <typename Sums>
void scatter(const HashGridLevels& levels, const float* positions, int64_t count, const float* grad_output, Sums sums, uint64_t stream) {
  if (count == 0) return;
  const unsigned blocks = blocks_for(count * levels.count);
  hash_grid_scatter<Sums><<<blocks, kThreads, 0, as_stream(stream)>>>(levels, positions, count, grad_output, sums);
  check_launch("hash_grid");
}

}  // namespace

void hash_grid_forward(const HashGridLevels& levels, const float* positions, int64_t count, const float* table, float* output,
                       uint64_t stream) {
  if (count == 0) return;
  hash_grid_gather<<<blocks_for(count * levels.count), kThreads, 0, as_stream(stream)>>>(levels, positions, count, table, output);
  check_launch("hash_grid");
}

void hash_grid_backward_table(const HashGridLevels& levels, const float* positions, int64_t count, const float* grad_output,
                              float* grad_table, uint64_t stream) {
  scatter(levels, positions, count, grad_output, FloatSums{grad_table}, stream);
}

void hash_grid_backward_table_fixed(const HashGridLevels& levels, const float* positions, int64_t count, const float* grad_output,
                                    int64_t* sums, const float* scale, uint64_t stream) {
  scatter(levels, positions, count, grad_output, FixedSums{sums, scale}, stream);
}

void hash_grid_backward_positions(const HashGridLevels& levels, const float* positions, int64_t count, const float* table,
                                  const float* grad_output, float* grad_positions, uint64_t stream) {
  if (count == 0) return;
  hash_grid_slopes<<<blocks_for(count), kThreads, 0, as_stream(stream)>>>(levels, positions, count, table, grad_output,
                                                                          grad_positions);
  check_launch("hash_grid");
}

}  // namespace deep3dmap::cuda

#include "cpu/hash_grid.h"

#include <algorithm>

namespace deep3dmap::cpu {
namespace {

constexpr int kBlock = 64;
// Points processed on one level before the next level: enough for the level to stay in the cache while it is read.
constexpr int64_t kChunk = 32 * kBlock;

// Entries and weights of the corners for a block of points, computed with vector code.
struct Corners {
  int size;
  uint32_t entry[kHashGridCorners][kBlock];
  float weight[kHashGridCorners][kBlock];
};

template <bool hashed>
DEEP3DMAP_HD void find(const float* __restrict positions, int size, int resolution, uint32_t table_size, Corners& corners) {
  HashGridCell cells[kBlock];
  corners.size = size;
  for (int i = 0; i < size; ++i)
    cells[i] = hash_grid_cell(positions[3 * i], positions[3 * i + 1], positions[3 * i + 2], resolution);
  for (int corner = 0; corner < kHashGridCorners; ++corner)
    for (int i = 0; i < size; ++i) {
      corners.entry[corner][i] = hashed ? hash_grid_hash(cells[i], corner, table_size - 1u)
                                        : hash_grid_dense(cells[i], corner, static_cast<uint32_t>(resolution) + 1u);
      corners.weight[corner][i] = hash_grid_weight(cells[i], corner);
    }
}

DEEP3DMAP_DISPATCH void find_corners(const HashGridLevels& levels, int level, const float* positions, int size, Corners& corners) {
  if (levels.hashed[level])
    find<true>(positions, size, levels.resolution[level], levels.size[level], corners);
  else
    find<false>(positions, size, levels.resolution[level], levels.size[level], corners);
}

// `fixed` is the number of features if it is a compile-time constant, otherwise 0.
template <int fixed>
void gather(const Corners& corners, int features, const float* __restrict level, float* __restrict output, int64_t stride) {
  const int width = fixed ? fixed : features;
  for (int i = 0; i < corners.size; ++i) {
    float* __restrict out = output + i * stride;
    for (int j = 0; j < width; ++j) out[j] = 0.f;
    for (int corner = 0; corner < kHashGridCorners; ++corner) {
      const float weight = corners.weight[corner][i];
      const float* __restrict entry = level + static_cast<int64_t>(corners.entry[corner][i]) * width;
      for (int j = 0; j < width; ++j) out[j] += weight * entry[j];
    }
  }
}

template <int fixed>
void scatter(const Corners& corners, int features, const float* __restrict grad, int64_t stride, float* __restrict level) {
  const int width = fixed ? fixed : features;
  for (int i = 0; i < corners.size; ++i) {
    const float* __restrict from = grad + i * stride;
    for (int corner = 0; corner < kHashGridCorners; ++corner) {
      const float weight = corners.weight[corner][i];
      float* __restrict entry = level + static_cast<int64_t>(corners.entry[corner][i]) * width;
      for (int j = 0; j < width; ++j) entry[j] += weight * from[j];
    }
  }
}

using Gather = void (*)(const Corners&, int, const float*, float*, int64_t);
using Scatter = void (*)(const Corners&, int, const float*, int64_t, float*);

Gather gather_of(int features) {
  switch (features) {
    case 1: return gather<1>;
    case 2: return gather<2>;
    case 4: return gather<4>;
    case 8: return gather<8>;
    default: return gather<0>;
  }
}

Scatter scatter_of(int features) {
  switch (features) {
    case 1: return scatter<1>;
    case 2: return scatter<2>;
    case 4: return scatter<4>;
    case 8: return scatter<8>;
    default: return scatter<0>;
  }
}

}  // namespace

void hash_grid_forward(const HashGridLevels& levels, const float* positions, int64_t count, const float* table, float* output,
                       int threads) {
  const int64_t chunks = (count + kChunk - 1) / kChunk, stride = static_cast<int64_t>(levels.count) * levels.features;
  const Gather take = gather_of(levels.features);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t begin = chunk * kChunk, end = std::min(count, begin + kChunk);
    Corners corners;
    for (int level = 0; level < levels.count; ++level) {
      const float* entries = table + levels.offset[level] * levels.features;
      for (int64_t first = begin; first < end; first += kBlock) {
        const int size = static_cast<int>(std::min<int64_t>(kBlock, end - first));
        find_corners(levels, level, positions + 3 * first, size, corners);
        take(corners, levels.features, entries, output + first * stride + level * levels.features, stride);
      }
    }
  }
}

// Each level is owned by one thread, which processes all points in order: no two threads add to the same entry.
void hash_grid_backward_table(const HashGridLevels& levels, const float* positions, int64_t count, const float* grad_output,
                              float* grad_table, int threads) {
  const int64_t stride = static_cast<int64_t>(levels.count) * levels.features;
  const Scatter add = scatter_of(levels.features);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int level = 0; level < levels.count; ++level) {
    Corners corners;
    float* entries = grad_table + levels.offset[level] * levels.features;
    for (int64_t first = 0; first < count; first += kBlock) {
      const int size = static_cast<int>(std::min<int64_t>(kBlock, count - first));
      find_corners(levels, level, positions + 3 * first, size, corners);
      add(corners, levels.features, grad_output + first * stride + level * levels.features, stride, entries);
    }
  }
}

void hash_grid_backward_positions(const HashGridLevels& levels, const float* positions, int64_t count, const float* table,
                                  const float* grad_output, float* grad_positions, int threads) {
  const int64_t stride = static_cast<int64_t>(levels.count) * levels.features;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < count; ++i)
    hash_grid_position_gradient(levels, positions + 3 * i, table, grad_output + i * stride, grad_positions + 3 * i);
}

}  // namespace deep3dmap::cpu

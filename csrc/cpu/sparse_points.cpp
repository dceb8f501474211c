// Voxelisation and devoxelisation. Where several points add to one voxel, each thread owns a range of voxels and visits all
// points in order: there are no atomics, and the sums do not depend on the number of threads.
#include <algorithm>
#include <stdexcept>

#include "cpu/sparse.h"

namespace deep3dmap::cpu {
namespace {

constexpr int kCorners = 8;

void check_rows(const int64_t* rows, int64_t count, int64_t cells) {
  for (int64_t i = 0; i < count; ++i)
    if (rows[i] < -1 || rows[i] >= cells) throw std::invalid_argument("sparse: a row is neither -1 nor the row of a cell");
}

DEEP3DMAP_DISPATCH void add_row(const float* __restrict from, float factor, int64_t channels, float* __restrict to) {
  for (int64_t c = 0; c < channels; ++c) to[c] += factor * from[c];
}

DEEP3DMAP_DISPATCH void divide_row(const float* from, float divisor, int64_t channels, float* to) {
  for (int64_t c = 0; c < channels; ++c) to[c] = from[c] / divisor;
}

struct Range {
  int64_t first, last;
  bool has(int64_t cell) const { return cell >= first && cell < last; }
};

Range part(int64_t cells, int64_t index, int64_t parts) { return {cells * index / parts, cells * (index + 1) / parts}; }

}  // namespace

void sparse_voxelize_forward(const float* features, const int64_t* rows, int64_t points, int64_t channels, int64_t cells, float* mean,
                             int32_t* counts, int threads) {
  check_rows(rows, points, cells);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int t = 0; t < threads; ++t) {
    const Range own = part(cells, t, threads);
    std::fill(mean + own.first * channels, mean + own.last * channels, 0.f);
    std::fill(counts + own.first, counts + own.last, 0);
    for (int64_t p = 0; p < points; ++p) {
      if (!own.has(rows[p])) continue;
      add_row(features + p * channels, 1.f, channels, mean + rows[p] * channels);
      ++counts[rows[p]];
    }
    for (int64_t cell = own.first; cell < own.last; ++cell)
      if (counts[cell] > 1) divide_row(mean + cell * channels, static_cast<float>(counts[cell]), channels, mean + cell * channels);
  }
}

void sparse_voxelize_backward(const float* grad_mean, const int64_t* rows, const int32_t* counts, int64_t points, int64_t channels,
                              int64_t cells, float* grad_features, int threads) {
  check_rows(rows, points, cells);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t p = 0; p < points; ++p) {
    float* out = grad_features + p * channels;
    if (rows[p] < 0)
      std::fill(out, out + channels, 0.f);
    else
      divide_row(grad_mean + rows[p] * channels, static_cast<float>(counts[rows[p]]), channels, out);
  }
}

void sparse_devoxelize_forward(const float* features, const int64_t* rows, const float* weights, int64_t points, int64_t channels,
                               int64_t cells, float* out, int threads) {
  check_rows(rows, points * kCorners, cells);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t p = 0; p < points; ++p) {
    std::fill(out + p * channels, out + (p + 1) * channels, 0.f);
    for (int64_t i = p * kCorners; i < (p + 1) * kCorners; ++i)
      if (rows[i] >= 0) add_row(features + rows[i] * channels, weights[i], channels, out + p * channels);
  }
}

void sparse_devoxelize_backward(const float* grad, const int64_t* rows, const float* weights, int64_t points, int64_t channels,
                                int64_t cells, float* grad_features, int threads) {
  check_rows(rows, points * kCorners, cells);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int t = 0; t < threads; ++t) {
    const Range own = part(cells, t, threads);
    std::fill(grad_features + own.first * channels, grad_features + own.last * channels, 0.f);
    for (int64_t i = 0; i < points * kCorners; ++i)
      if (own.has(rows[i])) add_row(grad + i / kCorners * channels, weights[i], channels, grad_features + rows[i] * channels);
  }
}

}  // namespace deep3dmap::cpu

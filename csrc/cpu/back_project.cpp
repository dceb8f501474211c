#include "cpu/back_project.h"

#include <algorithm>

namespace deep3dmap::cpu {
namespace {

constexpr int kBlock = 64;

// A block of positions that are projected together, so that the projection is vectorised.
struct Block {
  int64_t first;
  int size;
  float x[kBlock], y[kBlock], z[kBlock];
  float column[kBlock], row[kBlock], depth[kBlock];  // in the view of the last call to look
  int visible[kBlock];
};

void load(const BackProjectViews& views, int64_t first, Block& block) {
  block.first = first;
  block.size = static_cast<int>(std::min<int64_t>(kBlock, views.count - first));
  const float* position = views.positions + 3 * first;
  for (int i = 0; i < kBlock; ++i) {
    const int from = 3 * std::min(i, block.size - 1);
    block.x[i] = position[from], block.y[i] = position[from + 1], block.z[i] = position[from + 2];
  }
}

// Projects the block into a view; returns whether any position is visible.
DEEP3DMAP_DISPATCH bool look(const float* __restrict matrix, float right, float bottom, Block& block) {
  int any = 0;
  for (int i = 0; i < kBlock; ++i) {
    const BackProjectSight sight = back_project_sight(matrix, block.x[i], block.y[i], block.z[i], right, bottom);
    block.column[i] = sight.column, block.row[i] = sight.row, block.depth[i] = sight.depth;
    const int visible = sight.visible;
    block.visible[i] = visible;
    any |= visible;
  }
  return any;
}

bool look(const BackProjectViews& views, int view, Block& block) {
  return look(views.projection + int64_t{12} * view, static_cast<float>(views.width - 1), static_cast<float>(views.height - 1), block);
}

DEEP3DMAP_DISPATCH void gather(const BackProjectViews& views, const float* __restrict map, const Block& block, float* __restrict mean) {
  const int64_t channels = views.channels, line = channels * views.width;
  for (int i = 0; i < block.size; ++i) {
    if (!block.visible[i]) continue;
    const BackProjectTaps taps = back_project_taps(views, block.column[i], block.row[i]);
    const float* __restrict top = map + taps.corner * channels;
    const float* __restrict below = top + line;
    float* __restrict sum = mean + i * channels;
    const float a = taps.weight[0], b = taps.weight[1], c = taps.weight[2], d = taps.weight[3];
    for (int64_t j = 0; j < channels; ++j)
      sum[j] += a * top[j] + b * top[channels + j] + c * below[j] + d * below[channels + j];
  }
}

DEEP3DMAP_DISPATCH void divide(float* __restrict values, int64_t count, float by) {
  for (int64_t i = 0; i < count; ++i) values[i] /= by;
}

void forward_block(const BackProjectViews& views, const float* features, Block& block, const BackProjectResult& out) {
  const int64_t channels = views.channels, map = channels * views.height * views.width;
  float* mean = out.mean + block.first * channels;
  float* depth = out.depth + block.first;
  int32_t* seen = out.seen + block.first;
  std::fill_n(mean, block.size * channels, 0.f);
  std::fill_n(depth, block.size, 0.f);
  std::fill_n(seen, block.size, 0);
  for (int view = 0; view < views.views; ++view) {
    if (!look(views, view, block)) continue;
    for (int i = 0; i < block.size; ++i) {
      depth[i] += block.visible[i] ? block.depth[i] : 0.f;
      seen[i] += block.visible[i];
    }
    gather(views, features + view * map, block, mean);
  }
  for (int i = 0; i < block.size; ++i) {
    if (seen[i] < 2) continue;
    depth[i] /= static_cast<float>(seen[i]);
    divide(mean + i * channels, channels, static_cast<float>(seen[i]));
  }
}

// Adds the gradient of channels [first, last) to the feature map of the view of the last call to look.
DEEP3DMAP_DISPATCH void scatter(const BackProjectViews& views, const float* __restrict grad_mean, const int32_t* seen, const Block& block,
                                int64_t first, int64_t last, float* __restrict map) {
  const int64_t channels = views.channels, line = channels * views.width;
  for (int i = 0; i < block.size; ++i) {
    if (!block.visible[i]) continue;
    const BackProjectTaps taps = back_project_taps(views, block.column[i], block.row[i]);
    const float share = 1.f / static_cast<float>(seen[i]);
    const float* __restrict grad = grad_mean + i * channels;
    // The four pixels differ, so these writes do not overlap.
    float* __restrict corner = map + taps.corner * channels;
    float* __restrict right = corner + channels;
    float* __restrict below = corner + line;
    float* __restrict across = below + channels;
    const float a = taps.weight[0] * share, b = taps.weight[1] * share, c = taps.weight[2] * share, d = taps.weight[3] * share;
    for (int64_t j = first; j < last; ++j) corner[j] += a * grad[j];
    for (int64_t j = first; j < last; ++j) right[j] += b * grad[j];
    for (int64_t j = first; j < last; ++j) below[j] += c * grad[j];
    for (int64_t j = first; j < last; ++j) across[j] += d * grad[j];
  }
}

}  // namespace

void back_project_forward(const BackProjectViews& views, const float* features, const BackProjectResult& out, int threads) {
  const int64_t blocks = (views.count + kBlock - 1) / kBlock;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8)
  for (int64_t i = 0; i < blocks; ++i) {
    Block block;
    load(views, i * kBlock, block);
    forward_block(views, features, block, out);
  }
}

// Each thread owns some views, or some channels of a view if there are more threads than views, and processes all positions in
// order: no two threads add to the same value, and the result does not depend on the number of threads.
void back_project_backward(const BackProjectViews& views, const float* grad_mean, const int32_t* seen, float* grad_features,
                           int threads) {
  if (views.views == 0) return;
  const int64_t channels = views.channels, map = channels * views.height * views.width;
  const int64_t wanted = (threads + views.views - 1) / views.views;
  const int64_t slices = std::max<int64_t>(1, std::min<int64_t>(wanted, channels / 8)), parts = slices * views.views;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int thread = 0; thread < threads; ++thread) {
    Block block;
    for (int64_t first = 0; first < views.count && thread < parts; first += kBlock) {
      load(views, first, block);
      for (int64_t part = thread; part < parts; part += threads) {
        const int64_t view = part / slices, slice = part % slices;
        if (!look(views, static_cast<int>(view), block)) continue;
        scatter(views, grad_mean + first * channels, seen + first, block, channels * slice / slices, channels * (slice + 1) / slices,
                grad_features + view * map);
      }
    }
  }
}

}  // namespace deep3dmap::cpu

#include "cuda/check.cuh"
#include "cuda/launch.h"
#include "cuda/sums.cuh"

namespace deep3dmap::cuda {
namespace {

// One thread for each channel of each position, channels fastest: the threads of a warp read stretches of the same pixels.
__global__ void back_project_gather(BackProjectViews views, const float* features, BackProjectResult out) {
  const int64_t channels = views.channels, line = channels * views.width, map = line * views.height;
  const float right = static_cast<float>(views.width - 1), bottom = static_cast<float>(views.height - 1);
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < views.count * channels; item += stride) {
    const int64_t position = item / channels, channel = item - position * channels;
    const float* at = views.positions + 3 * position;
    float mean = 0.f, depth = 0.f;
    int seen = 0;
    for (int view = 0; view < views.views; ++view) {
      const BackProjectSight sight = back_project_sight(views.projection + int64_t{12} * view, at[0], at[1], at[2], right, bottom);
      if (!sight.visible) continue;
      const BackProjectTaps taps = back_project_taps(views, sight.column, sight.row);
      const float* corner = features + view * map + taps.corner * channels + channel;
      mean += taps.weight[0] * corner[0] + taps.weight[1] * corner[channels] + taps.weight[2] * corner[line] +
              taps.weight[3] * corner[line + channels];
      depth += sight.depth;
      ++seen;
    }
    const float share = seen > 1 ? static_cast<float>(seen) : 1.f;
    out.mean[item] = mean / share;
    if (channel != 0) continue;
    out.depth[position] = depth / share;
    out.seen[position] = seen;
  }
}

// The same threads.
template <typename Sums>
__global__ void back_project_scatter(BackProjectViews views, const float* grad_mean, const int32_t* seen, Sums sums) {
  const int64_t channels = views.channels, line = channels * views.width, map = line * views.height;
  const float right = static_cast<float>(views.width - 1), bottom = static_cast<float>(views.height - 1);
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < views.count * channels; item += stride) {
    const int64_t position = item / channels, channel = item - position * channels;
    if (seen[position] == 0) continue;
    const float* at = views.positions + 3 * position;
    const float share = 1.f / static_cast<float>(seen[position]), grad = grad_mean[item];
    for (int view = 0; view < views.views; ++view) {
      const BackProjectSight sight = back_project_sight(views.projection + int64_t{12} * view, at[0], at[1], at[2], right, bottom);
      if (!sight.visible) continue;
      const BackProjectTaps taps = back_project_taps(views, sight.column, sight.row);
      const int64_t corner = view * map + taps.corner * channels + channel;
      sums.add(corner, taps.weight[0] * share * grad);
      sums.add(corner + channels, taps.weight[1] * share * grad);
      sums.add(corner + line, taps.weight[2] * share * grad);
      sums.add(corner + line + channels, taps.weight[3] * share * grad);
    }
  }
}

template <typename Sums>
void scatter(const BackProjectViews& views, const float* grad_mean, const int32_t* seen, Sums sums, uint64_t stream) {
  const int64_t items = views.count * views.channels;
  if (items == 0) return;
  back_project_scatter<Sums><<<blocks_for(items), kThreads, 0, as_stream(stream)>>>(views, grad_mean, seen, sums);
  check_launch("back_project");
}

}  // namespace

void back_project_forward(const BackProjectViews& views, const float* features, const BackProjectResult& out, uint64_t stream) {
  const int64_t items = views.count * views.channels;
  if (items == 0) return;
  back_project_gather<<<blocks_for(items), kThreads, 0, as_stream(stream)>>>(views, features, out);
  check_launch("back_project");
}

void back_project_backward(const BackProjectViews& views, const float* grad_mean, const int32_t* seen, float* grad_features,
                           uint64_t stream) {
  scatter(views, grad_mean, seen, FloatSums{grad_features}, stream);
}

void back_project_backward_fixed(const BackProjectViews& views, const float* grad_mean, const int32_t* seen, int64_t* sums,
                                 const float* scale, uint64_t stream) {
  scatter(views, grad_mean, seen, FixedSums{sums, scale}, stream);
}

}  // namespace deep3dmap::cuda

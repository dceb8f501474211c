#include <type_traits>

#include "cuda/check.cuh"
#include "cuda/launch.h"
#include "cuda/stretch.cuh"
#include "cuda/sums.cuh"

namespace deep3dmap::cuda {
namespace {

constexpr int kPositions = 128, kViewsAtOnce = 16;

// Sampling position of a view that sees a point: index of the corner among the pixels of all views, and the fractions beyond it.
template <typename Index>
struct Place {
  Index pixel;
  float across, down;
};

// Projects one position into the views [first, last). The sampling positions of those that see it are written in order to
// places[0], places[kPositions], ... Returns their number and adds their depths to `depth`.
template <typename Index>
__device__ int find_places(const BackProjectViews& views, int64_t position, int first, int last, Place<Index>* places, float& depth) {
  const float right = static_cast<float>(views.width - 1), bottom = static_cast<float>(views.height - 1);
  const float* at = views.positions + 3 * position;
  const float x = at[0], y = at[1], z = at[2];
  int found = 0;
  for (int view = first; view < last; ++view) {
    const BackProjectSight sight = back_project_sight(views.projection + int64_t{12} * view, x, y, z, right, bottom);
    if (!sight.visible) continue;
    const BackProjectCorner corner = back_project_corner(views, sight.column, sight.row);
    const Index map = static_cast<Index>(view) * static_cast<Index>(views.height) + static_cast<Index>(corner.top);
    places[found++ * kPositions] = {map * static_cast<Index>(views.width) + static_cast<Index>(corner.left), corner.across, corner.down};
    depth += sight.depth;
  }
  return found;
}

// One thread block per kPositions positions. Each thread first projects one position into the views; then the threads share the
// channels, with those of one position adjacent, so that a warp reads contiguous runs of the same pixels. More than kViewsAtOnce
// views are processed in parts, with the partial sums stored in the result.
template <int kWidth, typename Index>
__global__ void __launch_bounds__(kPositions) gather(BackProjectViews views, const float* features, BackProjectResult out) {
  extern __shared__ char shared[];
  __shared__ int counts[kPositions];
  __shared__ float shares[kPositions];
  auto* const places = reinterpret_cast<Place<Index>*>(shared);
  const Index pieces = static_cast<Index>(views.channels / kWidth);
  const int64_t channels = views.channels, line = channels * views.width;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kPositions;
  for (int64_t start = static_cast<int64_t>(blockIdx.x) * kPositions; start < views.count; start += stride) {
    const int64_t own = start + threadIdx.x;
    const Index items = static_cast<Index>(min(views.count - start, int64_t{kPositions})) * pieces;
    float depth = 0.f;
    int seen = 0, first = 0;
    do {
      const int last = views.views - first < kViewsAtOnce ? views.views : first + kViewsAtOnce;
      const int found = own < views.count ? find_places(views, own, first, last, places + threadIdx.x, depth) : 0;
      seen += found;
      counts[threadIdx.x] = found;
      shares[threadIdx.x] = seen > 1 ? static_cast<float>(seen) : 1.f;
      __syncthreads();
      for (Index item = threadIdx.x; item < items; item += kPositions) {
        const int place = static_cast<int>(item / pieces);
        const int64_t channel = static_cast<int64_t>(item % pieces) * kWidth;
        float* const result = out.mean + (start + place) * channels + channel;
        Stretch<kWidth> mean{};
        if (first > 0) mean = stretch<kWidth>(result);
        const int count = counts[place];
#pragma unroll 2
        for (int i = 0; i < count; ++i) {
          const Place<Index> from = places[i * kPositions + place];
          float weight[4];
          back_project_weights(from.across, from.down, weight);
          const float* corner = features + static_cast<int64_t>(from.pixel) * channels + channel;
          const Stretch<kWidth> a = stretch<kWidth>(corner), b = stretch<kWidth>(corner + channels), c = stretch<kWidth>(corner + line),
                                d = stretch<kWidth>(corner + line + channels);
#pragma unroll
          for (int j = 0; j < kWidth; ++j)
            mean.value[j] += weight[0] * a.value[j] + weight[1] * b.value[j] + weight[2] * c.value[j] + weight[3] * d.value[j];
        }
        if (last == views.views) {
          const float share = shares[place];
#pragma unroll
          for (int j = 0; j < kWidth; ++j) mean.value[j] /= share;
        }
        stretch<kWidth>(result) = mean;
      }
      __syncthreads();
      first = last;
    } while (first < views.views);
    if (own >= views.count) continue;
    out.depth[own] = depth / (seen > 1 ? static_cast<float>(seen) : 1.f);
    out.seen[own] = seen;
  }
}

// Same thread layout as gather.
template <int kWidth, typename Index, typename Sums>
__global__ void __launch_bounds__(kPositions) scatter(BackProjectViews views, const float* grad_mean, const int32_t* seen, Sums sums) {
  extern __shared__ char shared[];
  __shared__ int counts[kPositions];
  __shared__ float shares[kPositions];
  auto* const places = reinterpret_cast<Place<Index>*>(shared);
  const Index pieces = static_cast<Index>(views.channels / kWidth);
  const int64_t channels = views.channels, line = channels * views.width;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kPositions;
  for (int64_t start = static_cast<int64_t>(blockIdx.x) * kPositions; start < views.count; start += stride) {
    const int64_t own = start + threadIdx.x;
    const Index items = static_cast<Index>(min(views.count - start, int64_t{kPositions})) * pieces;
    const bool any = own < views.count && seen[own] > 0;
    shares[threadIdx.x] = any ? 1.f / static_cast<float>(seen[own]) : 0.f;
    for (int first = 0; first < views.views; first += kViewsAtOnce) {
      const int last = views.views - first < kViewsAtOnce ? views.views : first + kViewsAtOnce;
      float depth = 0.f;
      counts[threadIdx.x] = any ? find_places(views, own, first, last, places + threadIdx.x, depth) : 0;
      __syncthreads();
      for (Index item = threadIdx.x; item < items; item += kPositions) {
        const int place = static_cast<int>(item / pieces), count = counts[place];
        if (count == 0) continue;
        const int64_t channel = static_cast<int64_t>(item % pieces) * kWidth;
        const Stretch<kWidth> grad = stretch<kWidth>(grad_mean + (start + place) * channels + channel);
        const float share = shares[place];
        for (int i = 0; i < count; ++i) {
          const Place<Index> to = places[i * kPositions + place];
          float weight[4];
          back_project_weights(to.across, to.down, weight);
          const int64_t corner = static_cast<int64_t>(to.pixel) * channels + channel;
          const int64_t at[4] = {corner, corner + channels, corner + line, corner + line + channels};
#pragma unroll
          for (int tap = 0; tap < 4; ++tap) {
            const float part = weight[tap] * share;
            Stretch<kWidth> value;
#pragma unroll
            for (int j = 0; j < kWidth; ++j) value.value[j] = part * grad.value[j];
            if constexpr (kWidth == 4) sums.add4(at[tap], value.value);
            else sums.add(at[tap], value.value[0]);
          }
        }
      }
      __syncthreads();
    }
  }
}

// Calls `launch` with the widest stretch and the narrowest index type that fit. The index counts the pixels of all views, and the
// channels of a block's positions. wide: whether the alignment allows accessing four channels at a time.
template <typename Launch>
void choose(const BackProjectViews& views, bool wide, const Launch& launch) {
  const bool small = static_cast<int64_t>(views.height) * views.width <= UINT32_MAX / (int64_t{views.views} + 1) && views.channels < 1 << 24;
  using One = std::integral_constant<int, 1>;
  using Four = std::integral_constant<int, 4>;
  if (wide && views.channels % 4 == 0) small ? launch(Four{}, uint32_t{}) : launch(Four{}, int64_t{});
  else small ? launch(One{}, uint32_t{}) : launch(One{}, int64_t{});
  check_launch("back_project");
}

unsigned blocks_of(const BackProjectViews& views) {
  return static_cast<unsigned>(std::min<int64_t>((views.count + kPositions - 1) / kPositions, int64_t{1} << 30));
}

template <typename Index>
size_t memory_of(const BackProjectViews& views) {
  return sizeof(Place<Index>) * kPositions * std::min(views.views, kViewsAtOnce);
}

template <typename Sums>
void scatter_all(const BackProjectViews& views, const float* grad_mean, const int32_t* seen, Sums sums, uint64_t stream) {
  if (views.count == 0 || views.views == 0) return;
  choose(views, aligned(grad_mean) && aligned(sums.to), [&](auto width, auto index) {
    using Index = decltype(index);
    scatter<width.value, Index, Sums><<<blocks_of(views), kPositions, memory_of<Index>(views), as_stream(stream)>>>(views, grad_mean, seen, sums);
  });
}

}  // namespace

void back_project_forward(const BackProjectViews& views, const float* features, const BackProjectResult& out, uint64_t stream) {
  if (views.count == 0) return;
  choose(views, aligned(features) && aligned(out.mean), [&](auto width, auto index) {
    using Index = decltype(index);
    gather<width.value, Index><<<blocks_of(views), kPositions, memory_of<Index>(views), as_stream(stream)>>>(views, features, out);
  });
}

void back_project_backward(const BackProjectViews& views, const float* grad_mean, const int32_t* seen, float* grad_features,
                           uint64_t stream) {
  scatter_all(views, grad_mean, seen, FloatSums{grad_features}, stream);
}

void back_project_backward_fixed(const BackProjectViews& views, const float* grad_mean, const int32_t* seen, int64_t* sums,
                                 const float* scale, uint64_t stream) {
  scatter_all(views, grad_mean, seen, FixedSums{sums, scale}, stream);
}

}  // namespace deep3dmap::cuda

// Voxelisation and devoxelisation, one thread per feature value.
#include "cuda/sparse.h"
#include "cuda/sparse_scratch.cuh"

namespace deep3dmap::cuda {
namespace {

constexpr int kCorners = 8;

__global__ void add_points(const float* features, const int64_t* rows, int64_t points, int64_t channels, float* sums, int32_t* counts) {
  // Points are counted even if there are no channels.
  const int64_t columns = channels > 0 ? channels : 1, total = points * columns;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total; i += stride) {
    const int64_t p = i / columns, c = i - p * columns;
    if (rows[p] < 0) continue;
    if (channels > 0) atomicAdd(sums + rows[p] * channels + c, features[i]);
    if (c == 0) atomicAdd(counts + rows[p], 1);
  }
}

__global__ void divide(const int32_t* counts, int64_t cells, int64_t channels, float* mean) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x, total = cells * channels;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total; i += stride)
    if (counts[i / channels] > 1) mean[i] /= static_cast<float>(counts[i / channels]);
}

__global__ void spread_means(const float* grad_mean, const int64_t* rows, const int32_t* counts, int64_t points, int64_t channels,
                             float* out) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x, total = points * channels;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total; i += stride) {
    const int64_t p = i / channels, row = rows[p];
    out[i] = row < 0 ? 0.f : grad_mean[row * channels + i - p * channels] / static_cast<float>(counts[row]);
  }
}

__global__ void sample(const float* features, const int64_t* rows, const float* weights, int64_t points, int64_t channels, float* out) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x, total = points * channels;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total; i += stride) {
    const int64_t p = i / channels, c = i - p * channels;
    float sum = 0.f;
    for (int64_t j = p * kCorners; j < (p + 1) * kCorners; ++j)
      if (rows[j] >= 0) sum += weights[j] * features[rows[j] * channels + c];
    out[i] = sum;
  }
}

__global__ void spread_samples(const float* grad, const int64_t* rows, const float* weights, int64_t points, int64_t channels,
                               float* out) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x, total = points * channels;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total; i += stride) {
    const int64_t p = i / channels, c = i - p * channels;
    for (int64_t j = p * kCorners; j < (p + 1) * kCorners; ++j)
      if (rows[j] >= 0) atomicAdd(out + rows[j] * channels + c, weights[j] * grad[i]);
  }
}

template <typename T>
void clear(T* data, int64_t count, cudaStream_t stream) {
  if (count > 0) check(cudaMemsetAsync(data, 0, count * sizeof(T), stream), "sparse: clear");
}

}  // namespace

void sparse_voxelize_forward(const float* features, const int64_t* rows, int64_t points, int64_t channels, int64_t cells, float* mean,
                             int32_t* counts, uint64_t handle) {
  const cudaStream_t stream = as_stream(handle);
  clear(mean, cells * channels, stream);
  clear(counts, cells, stream);
  if (points == 0 || cells == 0) return;
  add_points<<<blocks_for(points * std::max<int64_t>(channels, 1)), kThreads, 0, stream>>>(features, rows, points, channels, mean, counts);
  check_launch("sparse_voxelize_forward");
  divide<<<blocks_for(cells * channels), kThreads, 0, stream>>>(counts, cells, channels, mean);
  check_launch("sparse_voxelize_forward");
}

void sparse_voxelize_backward(const float* grad_mean, const int64_t* rows, const int32_t* counts, int64_t points, int64_t channels,
                              int64_t, float* grad_features, uint64_t handle) {
  if (points * channels == 0) return;
  const unsigned blocks = blocks_for(points * channels);
  spread_means<<<blocks, kThreads, 0, as_stream(handle)>>>(grad_mean, rows, counts, points, channels, grad_features);
  check_launch("sparse_voxelize_backward");
}

void sparse_devoxelize_forward(const float* features, const int64_t* rows, const float* weights, int64_t points, int64_t channels,
                               int64_t, float* out, uint64_t handle) {
  if (points * channels == 0) return;
  sample<<<blocks_for(points * channels), kThreads, 0, as_stream(handle)>>>(features, rows, weights, points, channels, out);
  check_launch("sparse_devoxelize_forward");
}

void sparse_devoxelize_backward(const float* grad, const int64_t* rows, const float* weights, int64_t points, int64_t channels,
                                int64_t cells, float* grad_features, uint64_t handle) {
  const cudaStream_t stream = as_stream(handle);
  clear(grad_features, cells * channels, stream);
  if (points * channels == 0 || cells == 0) return;
  spread_samples<<<blocks_for(points * channels), kThreads, 0, stream>>>(grad, rows, weights, points, channels, grad_features);
  check_launch("sparse_devoxelize_backward");
}

}  // namespace deep3dmap::cuda

#include "cuda/check.cuh"
#include "cuda/radiance.h"

namespace deep3dmap::cuda {
namespace {

struct Ignore {
  __host__ __device__ void operator()(int64_t, float, float) const {}
};

__global__ void march_rays_count(MarchInput input, int64_t* counts) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t ray = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; ray < input.rays; ray += step)
    counts[ray] = march_ray(input, ray, Ignore{});
}

__global__ void march_rays_fill(MarchInput input, MarchOutput out) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t ray = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; ray < input.rays; ray += step)
    march_ray(input, ray, march_write(out, ray));
}

}  // namespace

void march_count(const MarchInput& input, int64_t* counts, uint64_t stream) {
  if (input.rays == 0) return;
  march_rays_count<<<blocks_for(input.rays), kThreads, 0, as_stream(stream)>>>(input, counts);
  check_launch("march_rays");
}

void march_fill(const MarchInput& input, const MarchOutput& out, uint64_t stream) {
  if (input.rays == 0) return;
  march_rays_fill<<<blocks_for(input.rays), kThreads, 0, as_stream(stream)>>>(input, out);
  check_launch("march_rays");
}

}  // namespace deep3dmap::cuda

#include "cuda/check.cuh"
#include "cuda/radiance.h"

namespace deep3dmap::cuda {
namespace {

struct Absorbed {
  const float* density;
  const float* length;
  __host__ __device__ float operator()(int64_t i) const {
    const float x = density[i] * length[i];
    return x < kCompositeLittle ? composite_absorbed_little(x) : 1.f - expf(-x);
  }
};

__global__ void composite_rays(CompositeSamples samples, CompositeResult out) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t ray = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; ray < samples.rays; ray += step)
    composite_ray(samples, ray, out, Absorbed{samples.density, samples.length});
}

__global__ void composite_rays_backward(CompositeSamples samples, CompositeGradient grad, float* grad_density, float* grad_color) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t ray = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; ray < samples.rays; ray += step)
    composite_ray_backward(samples, grad, ray, grad_density, grad_color, Absorbed{samples.density, samples.length});
}

}  // namespace

void composite_forward(const CompositeSamples& samples, const CompositeResult& out, uint64_t stream) {
  if (samples.rays == 0) return;
  composite_rays<<<blocks_for(samples.rays), kThreads, 0, as_stream(stream)>>>(samples, out);
  check_launch("composite");
}

void composite_backward(const CompositeSamples& samples, const CompositeGradient& grad, float* grad_density, float* grad_color,
                        uint64_t stream) {
  if (samples.rays == 0) return;
  composite_rays_backward<<<blocks_for(samples.rays), kThreads, 0, as_stream(stream)>>>(samples, grad, grad_density, grad_color);
  check_launch("composite");
}

}  // namespace deep3dmap::cuda

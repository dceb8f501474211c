#include "cpu/composite.h"

namespace deep3dmap::cpu {

void composite_forward(const CompositeSamples& samples, const CompositeResult& out, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 256)
  for (int64_t ray = 0; ray < samples.rays; ++ray) composite_ray(samples, ray, out);
}

void composite_backward(const CompositeSamples& samples, const CompositeGradient& grad, float* grad_density, float* grad_color,
                        int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 256)
  for (int64_t ray = 0; ray < samples.rays; ++ray) composite_ray_backward(samples, grad, ray, grad_density, grad_color);
}

}  // namespace deep3dmap::cpu

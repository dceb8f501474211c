#include "cpu/composite.h"

#include <cstring>

namespace deep3dmap::cpu {
namespace {

// exp(-x) for x >= 0 with a relative error of about 1e-6, using only operations with vector instructions.
DEEP3DMAP_HD float exp_of_negative(float x) {
  float power = x * -1.44269504f;
  power = power > -126.f ? power : -126.f;
  power = power < 0.f ? power : 0.f;  // for a negative density it would not fit an int
  const float whole = (power + 12582912.f) - 12582912.f;  // rounds: the sum has no fractional digits
  const float r = power - whole;
  const float tail = 0.0555041087f + r * (0.00961812911f + r * (0.00133335581f + r * 0.000154035304f));
  const float mantissa = 1.f + r * (0.693147182f + r * (0.240226507f + r * tail));  // 2^r
  const int32_t bits = (static_cast<int32_t>(whole) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return mantissa * scale;
}

DEEP3DMAP_DISPATCH void absorb(const float* __restrict density, const float* __restrict length, int64_t count,
                               float* __restrict absorbed) {
  for (int64_t i = 0; i < count; ++i) {
    const float x = density[i] * length[i], little = composite_absorbed_little(x), much = 1.f - exp_of_negative(x);
    absorbed[i] = x < kCompositeLittle ? little : much;
  }
}

// Writes the absorption of a ray's samples to `scratch`, from which each is read back before it is overwritten.
void absorb(const CompositeSamples& samples, int64_t ray, float* scratch) {
  const int64_t first = samples.offsets[ray];
  absorb(samples.density + first, samples.length + first, samples.offsets[ray + 1] - first, scratch + first);
}

inline void prefetch(const float* place) {
#if defined(__GNUC__)
  __builtin_prefetch(place);
#endif
}

}  // namespace

void composite_forward(const CompositeSamples& samples, const CompositeResult& out, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 256)
  for (int64_t ray = 0; ray < samples.rays; ++ray) {
    absorb(samples, ray, out.weight);
    composite_ray(samples, ray, out, [&](int64_t i) { return out.weight[i]; });
  }
}

void composite_backward(const CompositeSamples& samples, const CompositeGradient& grad, float* grad_density, float* grad_color,
                        int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 256)
  for (int64_t ray = 0; ray < samples.rays; ++ray) {
    absorb(samples, ray, grad_density);
    composite_ray_backward(samples, grad, ray, grad_density, grad_color, [&](int64_t i) {
      // Read only on the way back, against the direction of hardware prefetching.
      prefetch(samples.color + 3 * i), prefetch(samples.distance + i), prefetch(grad.weight + i);
      return grad_density[i];
    });
  }
}

}  // namespace deep3dmap::cpu

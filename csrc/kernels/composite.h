// Volume-rendering compositing of packed samples (Mildenhall et al., NeRF, ECCV 2020, equation 3), one ray at a time.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

struct CompositeSamples {
  const float* density;      // (samples,)
  const float* color;        // (samples, 3)
  const float* distance;     // (samples,)
  const float* length;       // (samples,)
  const int64_t* offsets;    // (rays + 1,): ray i has samples offsets[i] to offsets[i + 1]
  int64_t rays, samples;
  float stop;                // transmittance below which a ray ends
};

struct CompositeResult {
  float* color;              // (rays, 3)
  float* depth;              // (rays,)
  float* opacity;            // (rays,)
  float* weight;             // (samples,)
};

struct CompositeGradient {
  const float* color;        // (rays, 3)
  const float* depth;        // (rays,)
  const float* opacity;      // (rays,)
  const float* weight;       // (samples,)
};

// 1 - exp(-x) for small x >= 0, where the difference would cancel; most samples are in empty space.
DEEP3DMAP_HD float composite_absorbed_little(float x) {
  return x * (1.f - x * (0.5f - x * (1.f / 6 - x * (1.f / 24 - x * (1.f / 120)))));
}

constexpr float kCompositeLittle = 0.125f;

struct CompositeSpan {
  int64_t begin, end;
};

// Range of a ray's samples, clamped to the arrays because the offsets are not checked beforehand on CUDA.
DEEP3DMAP_HD CompositeSpan composite_span(const CompositeSamples& in, int64_t ray) {
  const int64_t begin = in.offsets[ray], end = in.offsets[ray + 1];
  return {begin > 0 ? begin : 0, end < in.samples ? end : in.samples};
}

// absorbed_by(i) returns the fraction of the light absorbed by sample i; it is called once, before anything is written at i.
template <typename Absorbed>
DEEP3DMAP_HD void composite_ray(const CompositeSamples& in, int64_t ray, const CompositeResult& out, Absorbed absorbed_by) {
  float red = 0.f, green = 0.f, blue = 0.f, depth = 0.f, opacity = 0.f, through = 1.f;
  const CompositeSpan span = composite_span(in, ray);
  const int64_t end = span.end;
  const float stop = in.stop;
  int64_t i = span.begin;
  for (; i < end && !(through < stop); ++i) {
    const float absorbed = absorbed_by(i), weight = through * absorbed;
    out.weight[i] = weight;
    red += weight * in.color[3 * i], green += weight * in.color[3 * i + 1], blue += weight * in.color[3 * i + 2];
    depth += weight * in.distance[i], opacity += weight;
    through *= 1.f - absorbed;
  }
  for (; i < end; ++i) out.weight[i] = 0.f;
  out.color[3 * ray] = red, out.color[3 * ray + 1] = green, out.color[3 * ray + 2] = blue;
  out.depth[ray] = depth, out.opacity[ray] = opacity;
}

// d loss / d results of one ray, read once: the compiler has to assume that writing gradients may alias them.
struct CompositeRayGradient {
  float red, green, blue, depth, opacity;

  // d loss / d weight of a sample.
  DEEP3DMAP_HD float worth(const CompositeSamples& in, const float* weight, int64_t i) const {
    return red * in.color[3 * i] + green * in.color[3 * i + 1] + blue * in.color[3 * i + 2] + depth * in.distance[i] + opacity +
           weight[i];
  }
};

// d loss / d density_i = length_i (T_{i+1} g_i - sum over j > i of w_j g_j), g = d loss / d weight. The forward loop stores T_{i+1}
// in grad_density, and the backward loop turns it into the gradient.
template <typename Absorbed>
DEEP3DMAP_HD void composite_ray_backward(const CompositeSamples& in, const CompositeGradient& grad, int64_t ray,
                                         float* grad_density, float* grad_color, Absorbed absorbed_by) {
  const CompositeSpan span = composite_span(in, ray);
  const int64_t begin = span.begin, end = span.end;
  const float* color = grad.color + 3 * ray;
  const CompositeRayGradient own{color[0], color[1], color[2], grad.depth[ray], grad.opacity[ray]};
  const float stop = in.stop;
  float through = 1.f;
  int64_t i = begin;
  for (; i < end && !(through < stop); ++i) {
    const float absorbed = absorbed_by(i), weight = through * absorbed;
    grad_color[3 * i] = weight * own.red, grad_color[3 * i + 1] = weight * own.green, grad_color[3 * i + 2] = weight * own.blue;
    through *= 1.f - absorbed;
    grad_density[i] = through;
  }
  for (int64_t rest = i; rest < end; ++rest)
    grad_density[rest] = grad_color[3 * rest] = grad_color[3 * rest + 1] = grad_color[3 * rest + 2] = 0.f;
  float behind = 0.f;
  for (--i; i >= begin; --i) {
    const float after = grad_density[i], before = i > begin ? grad_density[i - 1] : 1.f;
    const float worth = own.worth(in, grad.weight, i);
    grad_density[i] = in.length[i] * (after * worth - behind);
    behind += (before - after) * worth;
  }
}

}  // namespace deep3dmap

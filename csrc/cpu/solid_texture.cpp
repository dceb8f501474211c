#include "cpu/solid_texture.h"

#include <algorithm>
#include <cmath>

#include "cpu/value_noise.h"

namespace deep3dmap::cpu {
namespace {

constexpr int kBlock = 512;  // points per block: their data stays in the L1 cache
constexpr float kShift[3] = {0.0137f, 0.0219f, 0.0173f};

DEEP3DMAP_HD float fraction(float x) { return x - std::floor(x); }

DEEP3DMAP_HD float checker(float x, float y, float z) {
  const float sum = std::floor(x) + std::floor(y) + std::floor(z);
  return sum - 2.f * std::floor(sum * 0.5f);
}

DEEP3DMAP_HD float planks(const float* lattice, float x, float y, float z) {
  const float row = std::floor(y), along = x * 0.18f + 0.37f * row;
  const float shade = value_noise(lattice, row * 3.7f + 0.5f, std::floor(along) * 5.3f + 0.5f, std::floor(z) + 0.5f);
  const float grain = value_noise(lattice, x * 0.6f, y * 9.f, z * 9.f);
  const bool joint = (y - row < 0.04f) | (fraction(along) < 0.008f);
  return joint ? 1.f : std::fma(grain, 0.3f, shade * 0.55f);
}

DEEP3DMAP_HD float bricks(const float* lattice, float x, float y, float z) {
  const float height = z * 2.5f, course = std::floor(height);
  const float along = x + y + 0.5f * (course - 2.f * std::floor(course * 0.5f));
  const bool joint = (fraction(along) < 0.06f) | (fraction(height) < 0.14f);
  const float shade = 0.45f * value_noise(lattice, std::floor(along) * 3.1f + 0.5f, course * 2.3f + 0.5f, 0.5f);
  return joint ? 1.f : shade;
}

DEEP3DMAP_HD float marble_wave(const float* lattice, float x, float y, float z) {
  float wave = std::fma(z, 0.4f, std::fma(y, 0.5f, 0.7f * x));
  wave = std::fma(value_noise(lattice, x, y, z), 1.6f, wave);
  wave = std::fma(value_noise(lattice, x * 2.3f, y * 2.3f, z * 2.3f), 0.8f, wave);
  return wave * 6.283185307179586f;
}

DEEP3DMAP_HD float dots(float x, float y, float z) {
  const float a = fraction(x) - 0.5f, b = fraction(y) - 0.5f, c = fraction(z) - 0.5f;
  return a * a + b * b + c * c < 0.14f ? 1.f : 0.f;
}

// Blend factors of `count` points between the first and the second colour of their materials, all with the same pattern.
DEEP3DMAP_HD void blend_of(Pattern pattern, const float* __restrict lattice, const float (*p)[kBlock], int count,
                           float* __restrict blend) {
  const float* __restrict x = p[0];
  const float* __restrict y = p[1];
  const float* __restrict z = p[2];
  switch (pattern) {
    case kChecker:
      for (int i = 0; i < count; ++i) blend[i] = checker(x[i], y[i], z[i]);
      break;
    case kStripes:
      for (int i = 0; i < count; ++i) blend[i] = fraction(x[i] + y[i]) < 0.4f ? 1.f : 0.f;
      break;
    case kPlanks:
      for (int i = 0; i < count; ++i) blend[i] = planks(lattice, x[i], y[i], z[i]);
      break;
    case kBricks:
      for (int i = 0; i < count; ++i) blend[i] = bricks(lattice, x[i], y[i], z[i]);
      break;
    case kMarble:
      for (int i = 0; i < count; ++i) blend[i] = marble_wave(lattice, x[i], y[i], z[i]);
      for (int i = 0; i < count; ++i) blend[i] = std::sin(blend[i]) * 0.5f + 0.5f;
      break;
    case kDots:
      for (int i = 0; i < count; ++i) blend[i] = dots(x[i], y[i], z[i]);
      break;
    default:
      for (int i = 0; i < count; ++i) blend[i] = 0.f;
  }
}

// Groups the points by pattern, so that each loop evaluates a single pattern.
DEEP3DMAP_HD void blend_block(const SolidMaterials& materials, const int64_t* material, const float (*place)[kBlock], int count,
                              float* __restrict blend) {
  int begin[kPatterns + 1] = {}, next[kPatterns], order[kBlock];
  for (int i = 0; i < count; ++i) ++begin[materials.pattern[material[i]] + 1];
  for (int k = 0; k < kPatterns; ++k) next[k] = begin[k], begin[k + 1] += begin[k];
  for (int i = 0; i < count; ++i) order[next[materials.pattern[material[i]]]++] = i;
  for (int k = 0; k < kPatterns; ++k) {
    const int size = begin[k + 1] - begin[k];
    if (size == 0) continue;
    float part[3][kBlock], values[kBlock];
    const int* from = order + begin[k];
    for (int i = 0; i < size; ++i) {
      const float scale = materials.numbers[8 * material[from[i]] + 7];
      for (int axis = 0; axis < 3; ++axis) part[axis][i] = place[axis][from[i]] / scale;
    }
    blend_of(static_cast<Pattern>(k), materials.lattice, part, size, values);
    for (int i = 0; i < size; ++i) blend[from[i]] = values[i];
  }
}

// Squaring and the square root approximate the display gamma.
DEEP3DMAP_HD void light_block(const SolidLight& light, const SolidPoints& points, int64_t first, int count, float* color) {
  float lit[kBlock];
  for (int i = 0; i < count; ++i) {
    const float glow = light.glow[points.material[first + i]], received = light.received[first + i];
    lit[i] = received > glow ? received : glow;
  }
  for (int channel = 0; channel < 3; ++channel) {
    float* __restrict out = color + channel * points.count + first;
    for (int i = 0; i < count; ++i) {
      const float value = out[i] * out[i] * lit[i], least = value > 0.f ? value : 0.f;
      out[i] = std::sqrt(least < 1.f ? least : 1.f);
    }
  }
}

DEEP3DMAP_DISPATCH_FMA void albedo_block(const SolidMaterials& materials, const SolidPoints& points, const SolidLight* light,
                                         int64_t first, int count, float* color) {
  const int64_t* __restrict material = points.material + first;
  const float* __restrict lattice = materials.lattice;
  const float* __restrict numbers = materials.numbers;
  float place[3][kBlock], blend[kBlock], rough[kBlock];
  for (int axis = 0; axis < 3; ++axis)
    for (int i = 0; i < count; ++i) place[axis][i] = points.place[axis * points.count + first + i] + kShift[axis];
  blend_block(materials, material, place, count, blend);
  for (int i = 0; i < count; ++i) {
    const float x = place[0][i], y = place[1][i], z = place[2][i];
    const float coarse = value_noise(lattice, x * 7.f, y * 7.f, z * 7.f);
    const float fine = value_noise(lattice, x * 29.f, y * 29.f, z * 29.f);
    rough[i] = std::fma(fine, 0.8f, coarse * 1.2f) - 1.f;
  }
  int row[kBlock];
  for (int i = 0; i < count; ++i) row[i] = 8 * static_cast<int>(material[i]);
  for (int i = 0; i < count; ++i) rough[i] = rough[i] * numbers[row[i] + 6] + 1.f;
  for (int channel = 0; channel < 3; ++channel) {
    float* __restrict out = color + channel * points.count + first;
    for (int i = 0; i < count; ++i) {
      const float value = std::fma(numbers[row[i] + channel + 3], blend[i], numbers[row[i] + channel]) * rough[i];
      const float least = value > 0.f ? value : 0.f;
      out[i] = least < 1.f ? least : 1.f;
    }
  }
  if (light) light_block(*light, points, first, count, color);
}

DEEP3DMAP_DISPATCH_FMA void noise_block(const float* __restrict lattice, const float* __restrict place, int64_t total, int count,
                                        float* __restrict noise) {
  const float *x = place, *y = place + total, *z = place + 2 * total;
  for (int i = 0; i < count; ++i) noise[i] = value_noise(lattice, x[i], y[i], z[i]);
}

}  // namespace

void solid_albedo(const SolidMaterials& materials, const SolidPoints& points, const SolidLight* light, float* color, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t first = 0; first < points.count; first += kBlock)
    albedo_block(materials, points, light, first, static_cast<int>(std::min<int64_t>(kBlock, points.count - first)), color);
}

void value_noise(const float* lattice, const float* place, int64_t count, float* noise, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t first = 0; first < count; first += kBlock)
    noise_block(lattice, place + first, count, static_cast<int>(std::min<int64_t>(kBlock, count - first)), noise + first);
}

}  // namespace deep3dmap::cpu

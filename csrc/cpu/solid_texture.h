#pragma once

#include <cstdint>

namespace deep3dmap::cpu {

enum Pattern : uint8_t { kPlain, kChecker, kStripes, kPlanks, kBricks, kMarble, kDots, kPatterns };

struct SolidMaterials {
  const uint8_t* pattern;  // (M) below kPatterns
  const float* numbers;    // (M, 8): first colour, step to the second colour, grain, scale
  const float* lattice;    // kLatticeSize random values
};

struct SolidPoints {
  const float* place;       // (3, count) in the object's frame
  const int64_t* material;  // (count)
  int64_t count;
};

// Light received by points (count), and the minimum brightness of their materials (M).
struct SolidLight {
  const float* received;
  const float* glow;
};

// Writes the albedo (3, count), or with `light` the lit colours as displayed; deep3dmap/ops/solid_texture_reference.py has the
// definition.
void solid_albedo(const SolidMaterials& materials, const SolidPoints& points, const SolidLight* light, float* color, int threads);

// Writes the noise (count) at positions (3, count).
void value_noise(const float* lattice, const float* place, int64_t count, float* noise, int threads);

}  // namespace deep3dmap::cpu

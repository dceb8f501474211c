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
  const float* place;       // (3, count) in the object's own frame
  const int64_t* material;  // (count)
  int64_t count;
};

// What points receive, (count), and what their materials give off at least, (M).
struct SolidLight {
  const float* received;
  const float* glow;
};

// Writes the colours (3, count), as the display shows them where there is light; deep3dmap/ops/solid_texture_reference.py says
// what they are.
void solid_albedo(const SolidMaterials& materials, const SolidPoints& points, const SolidLight* light, float* color, int threads);

// Writes the noise (count) at places (3, count).
void value_noise(const float* lattice, const float* place, int64_t count, float* noise, int threads);

}  // namespace deep3dmap::cpu

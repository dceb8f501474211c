// Smooth noise between random values on a lattice that repeats.
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace deep3dmap::cpu {

constexpr int kLattice = 32;  // cells after which the noise repeats
constexpr int kRow = kLattice + 1, kLayer = kRow * kRow, kLatticeSize = kRow * kLayer;  // the first layer comes again as the last

// torch.lerp, to the last bit.
DEEP3DMAP_HD float lerp(float from, float to, float way) {
  const bool near = std::fabs(way) < 0.5f;
  return std::fma(near ? way : way - 1.f, to - from, near ? from : to);
}

// The lattice cell of a coordinate, and the smoothed way across it. Coordinates that are not finite end up in some cell.
DEEP3DMAP_HD float cell_of(float value, int& cell) {
  const float below = std::floor(value), way = value - below;
  const float low = below > -1e9f ? below : -1e9f;
  cell = static_cast<int>(low < 1e9f ? low : 1e9f) & (kLattice - 1);
  return (3.f - 2.f * way) * way * way;
}

// Written with one whole number as the place in the lattice: so compilers see that vectors of them can be gathered.
DEEP3DMAP_HD float value_noise(const float* __restrict lattice, float x, float y, float z) {
  int i, j, k;
  const float u = cell_of(x, i), v = cell_of(y, j), w = cell_of(z, k);
  const int at = (i * kRow + j) * kRow + k, beside = at + kRow, behind = at + kLayer, across = behind + kRow;
  const float near = lerp(lerp(lattice[at], lattice[at + 1], w), lerp(lattice[beside], lattice[beside + 1], w), v);
  const float far = lerp(lerp(lattice[behind], lattice[behind + 1], w), lerp(lattice[across], lattice[across + 1], w), v);
  return lerp(near, far, u);
}

}  // namespace deep3dmap::cpu

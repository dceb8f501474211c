// Smooth noise interpolated between random values on a periodic lattice.
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace deep3dmap::cpu {

constexpr int kLattice = 32;  // period of the noise in cells
constexpr int kRow = kLattice + 1, kLayer = kRow * kRow, kLatticeSize = kRow * kLayer;  // the last layer repeats the first

// Bit-identical to torch.lerp.
DEEP3DMAP_HD float lerp(float from, float to, float way) {
  const bool near = std::fabs(way) < 0.5f;
  return std::fma(near ? way : way - 1.f, to - from, near ? from : to);
}

// Lattice cell of a coordinate and the smoothed fraction within it. Non-finite coordinates map to an arbitrary cell.
DEEP3DMAP_HD float cell_of(float value, int& cell) {
  const float below = std::floor(value), way = value - below;
  const float low = below > -1e9f ? below : -1e9f;
  cell = static_cast<int>(low < 1e9f ? low : 1e9f) & (kLattice - 1);
  return (3.f - 2.f * way) * way * way;
}

// Uses a single integer index into the lattice, so that compilers can vectorise the look-ups as gathers.
DEEP3DMAP_HD float value_noise(const float* __restrict lattice, float x, float y, float z) {
  int i, j, k;
  const float u = cell_of(x, i), v = cell_of(y, j), w = cell_of(z, k);
  const int at = (i * kRow + j) * kRow + k, beside = at + kRow, behind = at + kLayer, across = behind + kRow;
  const float near = lerp(lerp(lattice[at], lattice[at + 1], w), lerp(lattice[beside], lattice[beside + 1], w), v);
  const float far = lerp(lerp(lattice[behind], lattice[behind + 1], w), lerp(lattice[across], lattice[across + 1], w), v);
  return lerp(near, far, u);
}

}  // namespace deep3dmap::cpu

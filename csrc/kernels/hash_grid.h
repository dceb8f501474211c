// Multiresolution hash grid encoding (Mueller et al., Instant Neural Graphics Primitives, SIGGRAPH 2022, section 3).
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

constexpr int kHashGridMaxLevels = 32;
constexpr int kHashGridCorners = 8;

struct HashGridLevels {
  int count;
  int features;                            // per level
  int resolution[kHashGridMaxLevels];      // cells along each side
  uint32_t size[kHashGridMaxLevels];       // entries; a power of two if the level is hashed
  int64_t offset[kHashGridMaxLevels];      // of the first entry in the table
  bool hashed[kHashGridMaxLevels];
};

struct HashGridCell {
  uint32_t x, y, z;                        // lowest corner
  float fx, fy, fz;                        // position within the cell, in [0, 1]
};

// NaN becomes 0.
DEEP3DMAP_HD float hash_grid_clamp(float value) {
  const float positive = value > 0.f ? value : 0.f;
  return positive < 1.f ? positive : 1.f;
}

DEEP3DMAP_HD void hash_grid_axis(float value, int resolution, uint32_t& cell, float& fraction) {
  const float scaled = hash_grid_clamp(value) * static_cast<float>(resolution);
  const int last = resolution - 1;
  const int truncated = static_cast<int>(scaled), inside = truncated < last ? truncated : last;
  cell = static_cast<uint32_t>(inside);
  fraction = scaled - static_cast<float>(inside);
}

DEEP3DMAP_HD HashGridCell hash_grid_cell(float x, float y, float z, int resolution) {
  HashGridCell cell;
  hash_grid_axis(x, resolution, cell.x, cell.fx);
  hash_grid_axis(y, resolution, cell.y, cell.fy);
  hash_grid_axis(z, resolution, cell.z, cell.fz);
  return cell;
}

// Index of a corner's entry within its level. Bit 0 of `corner` is x, bit 1 is y, bit 2 is z.
DEEP3DMAP_HD uint32_t hash_grid_dense(const HashGridCell& cell, int corner, uint32_t side) {
  return (cell.x + (corner & 1)) + side * ((cell.y + ((corner >> 1) & 1)) + side * (cell.z + ((corner >> 2) & 1)));
}

DEEP3DMAP_HD uint32_t hash_grid_hash(const HashGridCell& cell, int corner, uint32_t mask) {
  const uint32_t x = cell.x + (corner & 1), y = cell.y + ((corner >> 1) & 1), z = cell.z + ((corner >> 2) & 1);
  return (x ^ (y * 2654435761u) ^ (z * 805459861u)) & mask;
}

DEEP3DMAP_HD uint32_t hash_grid_entry(const HashGridLevels& levels, int level, const HashGridCell& cell, int corner) {
  return levels.hashed[level] ? hash_grid_hash(cell, corner, levels.size[level] - 1u)
                              : hash_grid_dense(cell, corner, static_cast<uint32_t>(levels.resolution[level]) + 1u);
}

DEEP3DMAP_HD float hash_grid_weight(const HashGridCell& cell, int corner) {
  return (corner & 1 ? cell.fx : 1.f - cell.fx) * (corner & 2 ? cell.fy : 1.f - cell.fy) * (corner & 4 ? cell.fz : 1.f - cell.fz);
}

// Adds the contribution of a corner with the given value to the derivatives `slope` along x, y and z, per cell.
DEEP3DMAP_HD void hash_grid_slope(const HashGridCell& cell, int corner, float value, float* slope) {
  const float x = corner & 1 ? cell.fx : 1.f - cell.fx;
  const float y = corner & 2 ? cell.fy : 1.f - cell.fy;
  const float z = corner & 4 ? cell.fz : 1.f - cell.fz;
  slope[0] += (corner & 1 ? value : -value) * (y * z);
  slope[1] += (corner & 2 ? value : -value) * (x * z);
  slope[2] += (corner & 4 ? value : -value) * (x * y);
}

// Writes the gradient (3,) of a point's position from the gradients of its features. Clamped coordinates have zero gradient.
DEEP3DMAP_HD void hash_grid_position_gradient(const HashGridLevels& levels, const float* position, const float* table,
                                              const float* grad_output, float* gradient) {
  float total[3] = {0.f, 0.f, 0.f};
  for (int level = 0; level < levels.count; ++level) {
    const HashGridCell cell = hash_grid_cell(position[0], position[1], position[2], levels.resolution[level]);
    const float* grad = grad_output + level * levels.features;
    float slope[3] = {0.f, 0.f, 0.f};
    for (int corner = 0; corner < kHashGridCorners; ++corner) {
      const float* entry = table + (levels.offset[level] + hash_grid_entry(levels, level, cell, corner)) * levels.features;
      float value = 0.f;
      for (int feature = 0; feature < levels.features; ++feature) value += entry[feature] * grad[feature];
      hash_grid_slope(cell, corner, value, slope);
    }
    for (int axis = 0; axis < 3; ++axis) total[axis] += slope[axis] * static_cast<float>(levels.resolution[level]);
  }
  for (int axis = 0; axis < 3; ++axis) gradient[axis] = position[axis] >= 0.f && position[axis] <= 1.f ? total[axis] : 0.f;
}

}  // namespace deep3dmap

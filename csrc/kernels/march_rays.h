// Ray marching through an occupancy grid (Mueller et al., Instant-NGP, SIGGRAPH 2022, appendix E.1).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

struct MarchInput {
  const float* origins;      // (rays, 3) in the frame where the box is [-1, 1]^3
  const float* directions;   // (rays, 3) per unit of distance
  const float* near;         // (rays,)
  const float* far;          // (rays,)
  const float* jitter;       // (rays,) in [0, 1): start offset, as a fraction of the first step
  const uint8_t* occupied;   // (resolution, resolution, resolution), x slowest
  int64_t rays;
  int resolution;
  bool contracted;           // unbounded space is contracted into [-2, 2]^3, which the grid covers
  float step, cone;          // a step is max(step, cone * distance) long
};

struct MarchOutput {
  const int64_t* offsets;    // (rays + 1,) cumulative sums of the counts
  int64_t samples;
  float* distances;          // (samples,)
  float* lengths;            // (samples,)
};

// Contraction factor of mip-NeRF 360 with the maximum norm: [-1, 1]^3 is unchanged, everything else is mapped into [-2, 2]^3.
DEEP3DMAP_HD float march_contraction(float x, float y, float z) {
  const float ax = fabsf(x), ay = fabsf(y), az = fabsf(z);
  const float largest = ax > ay ? (ax > az ? ax : az) : (ay > az ? ay : az);
  return largest <= 1.f ? 1.f : (2.f - 1.f / largest) / largest;
}

struct MarchCell {
  int index[3];
  bool inside, regular;      // regular: the cell is an axis-aligned box in uncontracted space
};

DEEP3DMAP_HD MarchCell march_cell(const MarchInput& in, const float* point) {
  const float scale = in.contracted ? march_contraction(point[0], point[1], point[2]) : 1.f;
  const float half = in.contracted ? 2.f : 1.f, cells = static_cast<float>(in.resolution);
  MarchCell cell{{0, 0, 0}, true, scale == 1.f};
  for (int axis = 0; axis < 3; ++axis) {
    const float at = (point[axis] * scale / half + 1.f) * 0.5f * cells;
    cell.inside = cell.inside && at >= 0.f && at < cells;
    cell.index[axis] = cell.inside ? static_cast<int>(at) : 0;
  }
  return cell;
}

DEEP3DMAP_HD bool march_occupied(const MarchInput& in, const MarchCell& cell) {
  const int64_t n = in.resolution;
  return cell.inside && in.occupied[(cell.index[0] * n + cell.index[1]) * n + cell.index[2]];
}

// Distance at which a ray leaves a regular cell.
DEEP3DMAP_HD float march_exit(const MarchInput& in, const MarchCell& cell, const float* origin, const float* direction) {
  const float half = in.contracted ? 2.f : 1.f, width = 2.f * half / static_cast<float>(in.resolution);
  float nearest = INFINITY;
  for (int axis = 0; axis < 3; ++axis) {
    if (direction[axis] == 0.f) continue;
    const float border = static_cast<float>(cell.index[axis] + (direction[axis] > 0.f ? 1 : 0)) * width - half;
    const float at = (border - origin[axis]) / direction[axis];
    nearest = at < nearest ? at : nearest;
  }
  return nearest;
}

// Calls keep(index, distance, length) for each step of a ray whose midpoint is in an occupied cell; returns their number.
template <typename Keep>
DEEP3DMAP_HD int64_t march_ray(const MarchInput& in, int64_t ray, Keep keep) {
  const float* origin = in.origins + 3 * ray;
  const float* direction = in.directions + 3 * ray;
  const float far = in.far[ray];
  float at = in.near[ray];
  at += in.jitter[ray] * fmaxf(in.step, in.cone * at);
  int64_t count = 0;
  while (at < far) {
    const float length = fmaxf(in.step, in.cone * at), middle = at + 0.5f * length;
    if (!(middle < far) || !(at + length > at)) break;
    float point[3];
    for (int axis = 0; axis < 3; ++axis) point[axis] = origin[axis] + middle * direction[axis];
    const MarchCell cell = march_cell(in, point);
    if (march_occupied(in, cell)) {
      keep(count++, middle, length);
      at += length;
      continue;
    }
    const float leave = cell.inside && cell.regular ? march_exit(in, cell, origin, direction) : at;
    // Skips whole steps only, so that sample positions do not depend on which cells are empty.
    float before;
    do {
      before = at;
      at += fmaxf(in.step, in.cone * at);
    } while (at > before && at < far && at + 0.5f * fmaxf(in.step, in.cone * at) < leave);
  }
  return count;
}

// Writes the samples of a ray to its slice of the arrays and drops those beyond its end, because the offsets are not checked
// beforehand on CUDA.
struct MarchWrite {
  float* distances;
  float* lengths;
  int64_t first, end;
  DEEP3DMAP_HD void operator()(int64_t i, float distance, float length) const {
    if (first + i >= end) return;
    distances[first + i] = distance;
    lengths[first + i] = length;
  }
};

DEEP3DMAP_HD MarchWrite march_write(const MarchOutput& out, int64_t ray) {
  const int64_t first = out.offsets[ray], end = out.offsets[ray + 1];
  return {out.distances, out.lengths, first > 0 ? first : 0, end < out.samples ? end : out.samples};
}

}  // namespace deep3dmap

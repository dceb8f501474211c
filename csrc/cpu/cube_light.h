#pragma once

#include <cstdint>

namespace deep3dmap::cpu {

struct CubeLight {
  const float* cube;  // (6, side, side) depth along the axes up to which things are lit; pixels at the border are doubled
  int side;
  float place[3], power;
  float lift;  // how far from its surface a point is looked up in the cube
};

// Adds the light that points (3, count) with unit normals (3, count) receive; deep3dmap/ops/cube_light_reference.py says how much.
void cube_light(const CubeLight& light, const float* points, const float* normals, int64_t count, float* received, int threads);

}  // namespace deep3dmap::cpu

#pragma once

#include <cstdint>

namespace deep3dmap::cpu {

struct CubeLight {
  const float* cube;  // (6, side, side) depth along the axes up to which points are lit; border pixels are duplicated
  int side;
  float place[3], power;
  float lift;  // distance along the normal by which points are moved before the look-up in the cube
};

// Adds the light received by points (3, count) with unit normals (3, count), as defined in deep3dmap/ops/cube_light_reference.py.
void cube_light(const CubeLight& light, const float* points, const float* normals, int64_t count, float* received, int threads);

}  // namespace deep3dmap::cpu

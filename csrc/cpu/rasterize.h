#pragma once

#include "kernels/rasterize.h"

namespace deep3dmap {

struct RasterizeInput {
  const float* vertices;   // (V, 3): x, y in pixels, z depth
  const int64_t* faces;    // (F, 3)
  int64_t face_count;
  int height, width;
  bool perspective;
  Cull cull;
};

struct Fragments {
  float* depth;            // (height, width), 0 where empty
  int64_t* face_id;        // (height, width), -1 where empty
  float* barycentrics;     // (height, width, 3)
};

namespace cpu {

void rasterize(const RasterizeInput& input, const Fragments& out, int threads);

}  // namespace cpu
}  // namespace deep3dmap

#pragma once

#include <cstdint>

namespace deep3dmap::cpu {

struct SurfaceSamples {
  const int64_t* face_id;     // (count), -1 for no face
  const float* barycentrics;  // (count, 3)
  int64_t count;
};

struct VertexValues {
  const int64_t* faces;     // (F, 3)
  const float* attributes;  // (V, channels)
  int channels;
};

// Writes the interpolated attributes of the samples (channels, count), 0 for samples without a face.
void interpolate_at(const SurfaceSamples& samples, const VertexValues& vertex, float* values, int threads);

}  // namespace deep3dmap::cpu

#include "cpu/interpolate.h"

#include <algorithm>
#include <cmath>

#include "kernels/host_device.h"

namespace deep3dmap::cpu {
namespace {

constexpr int64_t kBlock = 1024;  // samples per block: their ids and barycentrics stay in the L1 cache for all channels

DEEP3DMAP_DISPATCH_FMA void block(const SurfaceSamples& samples, const VertexValues& vertex, int64_t first, int64_t last,
                                  float* __restrict values) {
  for (int channel = 0; channel < vertex.channels; ++channel) {
    const float* of_channel = vertex.attributes + channel;
    float* __restrict out = values + channel * samples.count;
    // Neighbouring samples mostly show the same face.
    int64_t shown = -1;
    float corner[3] = {};
    for (int64_t i = first; i < last; ++i) {
      const int64_t id = samples.face_id[i];
      if (id != shown) {
        shown = id;
        for (int k = 0; k < 3; ++k) corner[k] = id < 0 ? 0.f : of_channel[vertex.faces[3 * id + k] * vertex.channels];
      }
      const float* weight = samples.barycentrics + 3 * i;
      out[i] = std::fma(weight[2], corner[2], std::fma(weight[1], corner[1], weight[0] * corner[0]));
    }
  }
}

}  // namespace

void interpolate_at(const SurfaceSamples& samples, const VertexValues& vertex, float* values, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t first = 0; first < samples.count; first += kBlock)
    block(samples, vertex, first, std::min(samples.count, first + kBlock), values);
}

}  // namespace deep3dmap::cpu

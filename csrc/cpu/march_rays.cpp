#include "cpu/march_rays.h"

namespace deep3dmap::cpu {

void march_count(const MarchInput& input, int64_t* counts, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 64)
  for (int64_t ray = 0; ray < input.rays; ++ray) counts[ray] = march_ray(input, ray, [](int64_t, float, float) {});
}

void march_fill(const MarchInput& input, const int64_t* offsets, float* distances, float* lengths, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 64)
  for (int64_t ray = 0; ray < input.rays; ++ray) {
    const int64_t first = offsets[ray];
    march_ray(input, ray, [=](int64_t i, float distance, float length) {
      distances[first + i] = distance;
      lengths[first + i] = length;
    });
  }
}

}  // namespace deep3dmap::cpu

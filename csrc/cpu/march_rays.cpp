#include "cpu/march_rays.h"

namespace deep3dmap::cpu {

void march_count(const MarchInput& input, int64_t* counts, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 64)
  for (int64_t ray = 0; ray < input.rays; ++ray) counts[ray] = march_ray(input, ray, [](int64_t, float, float) {});
}

void march_fill(const MarchInput& input, const MarchOutput& out, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 64)
  for (int64_t ray = 0; ray < input.rays; ++ray) march_ray(input, ray, march_write(out, ray));
}

}  // namespace deep3dmap::cpu

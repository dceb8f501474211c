#pragma once

#include "kernels/march_rays.h"

namespace deep3dmap::cpu {

// counts: (rays,) samples of each ray.
void march_count(const MarchInput& input, int64_t* counts, int threads);

// offsets: (rays + 1,) sums of the counts. distances, lengths: (samples,).
void march_fill(const MarchInput& input, const int64_t* offsets, float* distances, float* lengths, int threads);

}  // namespace deep3dmap::cpu

#pragma once

#include "kernels/march_rays.h"

namespace deep3dmap::cpu {

// counts: (rays,) samples of each ray.
void march_count(const MarchInput& input, int64_t* counts, int threads);

void march_fill(const MarchInput& input, const MarchOutput& out, int threads);

}  // namespace deep3dmap::cpu

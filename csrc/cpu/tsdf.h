#pragma once

#include "kernels/tsdf.h"

namespace deep3dmap::cpu {

void integrate(const TsdfGrid& grid, const TsdfFrame& frame, int threads);

}  // namespace deep3dmap::cpu

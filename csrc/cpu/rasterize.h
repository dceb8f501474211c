#pragma once

#include "kernels/rasterize.h"

namespace deep3dmap::cpu {

void rasterize(const RasterizeInput& input, const Fragments& out, int threads);

}  // namespace deep3dmap::cpu

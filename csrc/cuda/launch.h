// Launchers of the CUDA kernels. All pointers are device memory; `stream` is a cudaStream_t as an integer. They return at once and
// throw std::runtime_error where a launch fails.
#pragma once

#include <cstdint>

#include "kernels/rasterize.h"
#include "kernels/tsdf.h"

namespace deep3dmap::cuda {

void integrate(const TsdfGrid& grid, const TsdfFrame& frame, uint64_t stream);

// `out` must come in empty: depth 0, face_id -1, barycentrics 0.
void rasterize(const RasterizeInput& input, const Fragments& out, uint64_t stream);

}  // namespace deep3dmap::cuda

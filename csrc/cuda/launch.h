// Launchers of the CUDA kernels. All pointers are device memory; `stream` is a cudaStream_t as an integer. The launchers are
// asynchronous and throw std::runtime_error if a launch fails.
#pragma once

#include <cstdint>

#include "kernels/back_project.h"
#include "kernels/rasterize.h"
#include "kernels/tsdf.h"

namespace deep3dmap::cuda {

void integrate(const TsdfGrid& grid, const TsdfFrame& frame, uint64_t stream);

// Overwrites `out`. scratch: images * face_count + 2 values; the second is set to 1 if a face has an invalid corner index.
void rasterize(const RasterizeInput& input, const Fragments& out, uint32_t* scratch, uint64_t stream);

// Arguments as on the CPU (csrc/cpu/back_project.h), with all arrays on the device.
void back_project_forward(const BackProjectViews& views, const float* features, const BackProjectResult& out, uint64_t stream);
void back_project_backward(const BackProjectViews& views, const float* grad_mean, const int32_t* seen, float* grad_features,
                           uint64_t stream);
// The same in fixed-point arithmetic, reproducible between runs: see csrc/cuda/sums.cuh.
void back_project_backward_fixed(const BackProjectViews& views, const float* grad_mean, const int32_t* seen, int64_t* sums,
                                 const float* scale, uint64_t stream);

}  // namespace deep3dmap::cuda

// Launchers of the CUDA kernels of radiance fields; see csrc/cuda/launch.h for the common conventions.
#pragma once

#include "kernels/composite.h"
#include "kernels/hash_grid.h"
#include "kernels/march_rays.h"

namespace deep3dmap::cuda {

void hash_grid_forward(const HashGridLevels& levels, const float* positions, int64_t count, const float* table, float* output,
                       uint64_t stream);
void hash_grid_backward_table(const HashGridLevels& levels, const float* positions, int64_t count, const float* grad_output,
                              float* grad_table, uint64_t stream);
// The same in fixed-point arithmetic, reproducible between runs: see csrc/cuda/sums.cuh.
void hash_grid_backward_table_fixed(const HashGridLevels& levels, const float* positions, int64_t count, const float* grad_output,
                                    int64_t* sums, const float* scale, uint64_t stream);
void hash_grid_backward_positions(const HashGridLevels& levels, const float* positions, int64_t count, const float* table,
                                  const float* grad_output, float* grad_positions, uint64_t stream);

void composite_forward(const CompositeSamples& samples, const CompositeResult& out, uint64_t stream);
void composite_backward(const CompositeSamples& samples, const CompositeGradient& grad, float* grad_density, float* grad_color,
                        uint64_t stream);

void march_count(const MarchInput& input, int64_t* counts, uint64_t stream);
void march_fill(const MarchInput& input, const MarchOutput& out, uint64_t stream);

}  // namespace deep3dmap::cuda

#pragma once

#include "kernels/hash_grid.h"

namespace deep3dmap::cpu {

// positions: (count, 3). table: (entries, features). output: (count, levels * features).
void hash_grid_forward(const HashGridLevels& levels, const float* positions, int64_t count, const float* table, float* output,
                       int threads);

// Adds to grad_table, which the caller zeroes. The result does not depend on the number of threads.
void hash_grid_backward_table(const HashGridLevels& levels, const float* positions, int64_t count, const float* grad_output,
                              float* grad_table, int threads);

void hash_grid_backward_positions(const HashGridLevels& levels, const float* positions, int64_t count, const float* table,
                                  const float* grad_output, float* grad_positions, int threads);

}  // namespace deep3dmap::cpu

#include "cpu/tsdf.h"

#include <vector>

namespace deep3dmap::cpu {
namespace {

DEEP3DMAP_DISPATCH void integrate_column(const TsdfFrame& frame, const TsdfColumn& column, float truncation, float* __restrict tsdf,
                                         float* __restrict weight) {
  for (int64_t k = column.first; k < column.last; ++k) tsdf_voxel(frame, column, truncation, k, tsdf, weight, nullptr);
}

void integrate_colored_column(const TsdfGrid& grid, const TsdfFrame& frame, const TsdfColumn& column, int64_t offset, int* pixel_of) {
  for (int64_t k = column.first; k < column.last; ++k)
    tsdf_voxel(frame, column, grid.truncation, k, grid.tsdf + offset, grid.weight + offset, pixel_of);
  for (int64_t k = column.first; k < column.last; ++k)
    if (pixel_of[k] >= 0) tsdf_color(grid, frame, offset + k, pixel_of[k]);
}

}  // namespace

void integrate(const TsdfGrid& grid, const TsdfFrame& frame, int threads) {
#pragma omp parallel num_threads(threads)
  {
    std::vector<int> pixel_of(grid.color ? grid.nz : 0);
#pragma omp for schedule(dynamic, 4)
    for (int64_t x = 0; x < grid.nx; ++x) {
      for (int64_t y = 0; y < grid.ny; ++y) {
        const TsdfColumn column = tsdf_column(grid, frame, x, y);
        const int64_t offset = (x * grid.ny + y) * grid.nz;
        if (grid.color)
          integrate_colored_column(grid, frame, column, offset, pixel_of.data());
        else
          integrate_column(frame, column, grid.truncation, grid.tsdf + offset, grid.weight + offset);
      }
    }
  }
}

}  // namespace deep3dmap::cpu

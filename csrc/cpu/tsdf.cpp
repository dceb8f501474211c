#include "cpu/tsdf.h"

#include <vector>

namespace deep3dmap::cpu {
namespace {

DEEP3DMAP_DISPATCH void integrate_column(const TsdfFrame& frame, const TsdfColumn& column, float truncation, float* __restrict tsdf,
                                         float* __restrict weight) {
  for (int64_t k = column.first; k < column.last; ++k) tsdf_voxel(frame, column, truncation, k, tsdf, weight);
}

DEEP3DMAP_DISPATCH void project_column(const TsdfFrame& frame, const TsdfColumn& column, float truncation, float* __restrict tsdf,
                                       float* __restrict weight, int* __restrict pixel_of) {
  for (int64_t k = column.first; k < column.last; ++k) pixel_of[k] = tsdf_voxel(frame, column, truncation, k, tsdf, weight);
}

DEEP3DMAP_DISPATCH void color_column(const TsdfColumn& column, const float* __restrict channel, const int* __restrict pixel_of,
                                     const float* __restrict weight, float* __restrict color) {
  for (int64_t k = column.first; k < column.last; ++k) tsdf_color(channel, pixel_of[k], weight[k], color + k);
}

void integrate_colored_column(const TsdfGrid& grid, const TsdfFrame& frame, const TsdfColumn& column, int64_t offset, int* pixel_of) {
  const int64_t voxels = grid.nx * grid.ny * grid.nz, pixels = static_cast<int64_t>(frame.height) * frame.width;
  project_column(frame, column, grid.truncation, grid.tsdf + offset, grid.weight + offset, pixel_of);
  for (int i = 0; i < 3; ++i)
    color_column(column, frame.image + i * pixels, pixel_of, grid.weight + offset, grid.color + i * voxels + offset);
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

#include "cpu/tsdf.h"

#include <algorithm>

namespace deep3dmap::cpu {
namespace {

// Number of voxels whose pixels are buffered between the updates of depth and colour. The buffer is on the stack, because an
// exception that escapes a parallel region terminates the process.
constexpr int64_t kBlock = 256;

DEEP3DMAP_DISPATCH void integrate_column(const TsdfFrame& frame, const TsdfColumn& column, float truncation, float* __restrict tsdf,
                                         float* __restrict weight) {
  for (int64_t k = column.first; k < column.last; ++k) tsdf_voxel(frame, column, truncation, k, tsdf, weight);
}

DEEP3DMAP_DISPATCH void project_column(const TsdfFrame& frame, const TsdfColumn& column, float truncation, float* __restrict tsdf,
                                       float* __restrict weight, int* __restrict pixel_of) {
  const int64_t first = column.first, count = column.last - first;
  for (int64_t i = 0; i < count; ++i) pixel_of[i] = tsdf_voxel(frame, column, truncation, first + i, tsdf, weight);
}

DEEP3DMAP_DISPATCH void color_column(const TsdfColumn& column, const float* __restrict channel, const int* __restrict pixel_of,
                                     const float* __restrict weight, float* __restrict color) {
  const int64_t first = column.first, count = column.last - first;
  for (int64_t i = 0; i < count; ++i) tsdf_color(channel, pixel_of[i], weight[first + i], color + first + i);
}

void integrate_colored_column(const TsdfGrid& grid, const TsdfFrame& frame, const TsdfColumn& column, int64_t offset) {
  const int64_t voxels = grid.nx * grid.ny * grid.nz, pixels = static_cast<int64_t>(frame.height) * frame.width;
  int pixel_of[kBlock];
  TsdfColumn part = column;
  for (; part.first < column.last; part.first = part.last) {
    part.last = std::min(part.first + kBlock, column.last);
    project_column(frame, part, grid.truncation, grid.tsdf + offset, grid.weight + offset, pixel_of);
    for (int i = 0; i < 3; ++i)
      color_column(part, frame.image + i * pixels, pixel_of, grid.weight + offset, grid.color + i * voxels + offset);
  }
}

}  // namespace

void integrate(const TsdfGrid& grid, const TsdfFrame& frame, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
  for (int64_t x = 0; x < grid.nx; ++x) {
    for (int64_t y = 0; y < grid.ny; ++y) {
      const TsdfColumn column = tsdf_column(grid, frame, x, y);
      const int64_t offset = (x * grid.ny + y) * grid.nz;
      if (grid.color)
        integrate_colored_column(grid, frame, column, offset);
      else
        integrate_column(frame, column, grid.truncation, grid.tsdf + offset, grid.weight + offset);
    }
  }
}

}  // namespace deep3dmap::cpu

#include "cuda/check.cuh"
#include "cuda/launch.h"

namespace deep3dmap::cuda {
namespace {

// One thread for each voxel, z fastest: neighbouring threads touch neighbouring memory.
__global__ void integrate_voxels(TsdfGrid grid, TsdfFrame frame) {
  const int64_t voxels = grid.nx * grid.ny * grid.nz, pixels = static_cast<int64_t>(frame.height) * frame.width;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t voxel = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; voxel < voxels; voxel += stride) {
    const int64_t line = voxel / grid.nz, k = voxel - line * grid.nz;
    const TsdfColumn column = tsdf_column(grid, frame, line / grid.ny, line % grid.ny);
    if (k < column.first || k >= column.last) continue;
    const int64_t offset = line * grid.nz;
    const int pixel = tsdf_voxel(frame, column, grid.truncation, k, grid.tsdf + offset, grid.weight + offset);
    if (!grid.color) continue;
    for (int i = 0; i < 3; ++i) tsdf_color(frame.image + i * pixels, pixel, grid.weight[voxel], grid.color + i * voxels + voxel);
  }
}

}  // namespace

void integrate(const TsdfGrid& grid, const TsdfFrame& frame, uint64_t stream) {
  const int64_t voxels = grid.nx * grid.ny * grid.nz;
  if (voxels == 0) return;
  integrate_voxels<<<blocks_for(voxels), kThreads, 0, as_stream(stream)>>>(grid, frame);
  check_launch("integrate");
}

}  // namespace deep3dmap::cuda

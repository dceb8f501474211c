#include "cuda/check.cuh"
#include "cuda/launch.h"
#include "cuda/stretch.cuh"

namespace deep3dmap::cuda {
namespace {

constexpr int kColumns = 32, kBlock = 256;

// One thread block per kColumns columns, whose visible ranges are computed once for all of their voxels. z is fastest, so
// neighbouring threads access neighbouring memory. Stretches without a measurement are neither read nor written.
template <int kWidth>
__global__ void __launch_bounds__(kBlock) integrate_columns(TsdfGrid grid, TsdfFrame frame) {
  __shared__ TsdfColumn columns[kColumns];
  const int64_t lines = grid.nx * grid.ny, voxels = lines * grid.nz, pixels = static_cast<int64_t>(frame.height) * frame.width;
  const unsigned stretches = static_cast<unsigned>(grid.nz / kWidth);
  for (int64_t line = static_cast<int64_t>(blockIdx.x) * kColumns; line < lines; line += static_cast<int64_t>(gridDim.x) * kColumns) {
    const int count = static_cast<int>(min(lines - line, int64_t{kColumns}));
    if (static_cast<int>(threadIdx.x) < count) {
      const int64_t own = line + threadIdx.x;
      columns[threadIdx.x] = tsdf_column(grid, frame, own / grid.ny, own % grid.ny);
    }
    __syncthreads();
    // Each thread processes every kBlock-th stretch of the block, with a 32-bit division if the number of stretches allows it.
    for (uint64_t item = threadIdx.x, items = static_cast<uint64_t>(stretches) * count; item < items; item += kBlock) {
      const unsigned of_block = items >> 32 ? static_cast<unsigned>(item / stretches) : static_cast<unsigned>(item) / stretches;
      const int64_t k = static_cast<int64_t>(item - static_cast<uint64_t>(of_block) * stretches) * kWidth;
      const TsdfColumn& column = columns[of_block];
      if (k + kWidth <= column.first || k >= column.last) continue;
      TsdfMeasure measure[kWidth];
      bool any = false;
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        measure[i] = tsdf_measure(frame, column, grid.truncation, k + i);
        if (k + i < column.first || k + i >= column.last) measure[i].pixel = -1;
        any |= measure[i].pixel >= 0;
      }
      if (!any) continue;
      const int64_t voxel = (line + of_block) * grid.nz + k;
      Stretch<kWidth> tsdf = stretch<kWidth>(grid.tsdf + voxel), weight = stretch<kWidth>(grid.weight + voxel);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        if (measure[i].pixel < 0) continue;
        tsdf.value[i] = tsdf_mean(tsdf.value[i], weight.value[i], measure[i].value);
        weight.value[i] += 1.f;
      }
      stretch<kWidth>(grid.tsdf + voxel) = tsdf;
      stretch<kWidth>(grid.weight + voxel) = weight;
      if (!grid.color) continue;
      for (int channel = 0; channel < 3; ++channel) {
        float* const at = grid.color + channel * voxels + voxel;
        Stretch<kWidth> color = stretch<kWidth>(at);
#pragma unroll
        for (int i = 0; i < kWidth; ++i)
          tsdf_color(frame.image + channel * pixels, measure[i].pixel, weight.value[i], &color.value[i]);
        stretch<kWidth>(at) = color;
      }
    }
    __syncthreads();
  }
}

}  // namespace

void integrate(const TsdfGrid& grid, const TsdfFrame& frame, uint64_t stream) {
  const int64_t lines = grid.nx * grid.ny;
  if (lines == 0 || grid.nz == 0) return;
  const auto blocks = static_cast<unsigned>(std::min<int64_t>((lines + kColumns - 1) / kColumns, int64_t{1} << 30));
  if (grid.nz % 4 == 0 && aligned(grid.tsdf) && aligned(grid.weight) && aligned(grid.color))
    integrate_columns<4><<<blocks, kBlock, 0, as_stream(stream)>>>(grid, frame);
  else
    integrate_columns<1><<<blocks, kBlock, 0, as_stream(stream)>>>(grid, frame);
  check_launch("integrate");
}

}  // namespace deep3dmap::cuda

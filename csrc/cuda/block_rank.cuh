#pragma once

#include "cuda/check.cuh"

namespace deep3dmap::cuda {

// Returns the number of preceding threads of the block for which `holds` is true, and in `all` the number over the whole block.
// of_warp: shared memory for one count per warp. All threads of the block must call it, and must synchronise before the next
// call.
template <int kBlockThreads>
__device__ __forceinline__ int rank_in_block(bool holds, int (&of_warp)[kBlockThreads / kWarp], int& all) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const unsigned present = __ballot_sync(0xffffffffu, holds);
  if (lane == 0) of_warp[warp] = __popc(present);
  __syncthreads();
  int rank = __popc(present & ((1u << lane) - 1));
  all = 0;
  for (int w = 0; w < kBlockThreads / kWarp; ++w) {
    if (w < warp) rank += of_warp[w];
    all += of_warp[w];
  }
  return rank;
}

}  // namespace deep3dmap::cuda

#pragma once

#include "cuda/check.cuh"

namespace deep3dmap::cuda {

// The number of threads of the block before this one for which something holds, and of all. of_warp: shared memory for one count of
// each warp; all threads of the block call it, and have to meet again before it is called anew.
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

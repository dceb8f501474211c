#include "cuda/depth_keys.cuh"
#include "cuda/launch.h"

namespace deep3dmap::cuda {
namespace {

struct AnyDepth {
  __device__ bool operator()(float) const { return true; }
};

}  // namespace

void rasterize(const RasterizeInput& input, const Fragments& out, uint32_t* scratch, uint64_t stream) {
  draw(input, out, scratch, AnyDepth{}, stream, "rasterize");
}

}  // namespace deep3dmap::cuda

// Faces are validated by the kernels that draw them, because a check on the host would have to synchronise with the device.
#pragma once

#include <cstdint>

namespace deep3dmap::cuda {
namespace {

// Returns whether all corners of a face are valid vertex indices. Input: RasterizeInput or SoftInput.
template <typename Input>
__device__ bool corners_exist(const Input& input, int64_t face) {
  const int64_t* corner = input.faces + 3 * face;
  const auto count = static_cast<uint64_t>(input.vertex_count);
  return static_cast<uint64_t>(corner[0]) < count && static_cast<uint64_t>(corner[1]) < count && static_cast<uint64_t>(corner[2]) < count;
}

}  // namespace
}  // namespace deep3dmap::cuda

// Faces are looked at by the kernels that draw them, as the host would have to wait for the device to do so.
#pragma once

#include <cstdint>

namespace deep3dmap::cuda {
namespace {

// Whether the corners of a face are vertices. Input: RasterizeInput or SoftInput.
template <typename Input>
__device__ bool corners_exist(const Input& input, int64_t face) {
  const int64_t* corner = input.faces + 3 * face;
  const auto count = static_cast<uint64_t>(input.vertex_count);
  return static_cast<uint64_t>(corner[0]) < count && static_cast<uint64_t>(corner[1]) < count && static_cast<uint64_t>(corner[2]) < count;
}

}  // namespace
}  // namespace deep3dmap::cuda

// What the z-buffers of both hard rasterisers share: keys of fragments, whose minimum is what is seen in whatever order warps run.
#pragma once

#include "cuda/check.cuh"
#include "kernels/rasterize.h"

namespace deep3dmap::cuda {
namespace {

using Key = unsigned long long;

// Orders depths as unsigned numbers, negative ones included; adding 0 makes -0 and 0 equal.
__device__ unsigned ordered(float depth) {
  const unsigned bits = __float_as_uint(depth + 0.f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// One warp for each face. The key of a fragment is its depth, then its face, so the minimum is the nearest and of equals the lower
// face. Keys are kept in `face_id`, whose empty value, -1, is the largest key. `drawn` says of a depth whether it is.
template <typename Drawn>
__global__ void draw_faces(RasterizeInput input, Key* keys, Drawn drawn) {
  const int lane = threadIdx.x % kWarp;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x / kWarp;
  for (int64_t face = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp; face < input.face_count; face += stride) {
    Triangle triangle;
    if (!set_up(input, face, triangle)) continue;
    for (int row = triangle.top; row < triangle.bottom; ++row) {
      double of_row[3], value[3];
      for (int i = 0; i < 3; ++i) of_row[i] = row_value(triangle.edge[i], row);
      for (int column = triangle.left + lane; column < triangle.right; column += kWarp) {
        float depth;
        if (!covers(triangle, of_row, column, value) || !depth_at(triangle, input.perspective, value, depth)) continue;
        if (!drawn(depth)) continue;
        const Key key = static_cast<Key>(ordered(depth)) << 32 | static_cast<Key>(face);
        atomicMin(keys + static_cast<int64_t>(row) * input.width + column, key);
      }
    }
  }
}

// One thread for each pixel: turns its key into a face and computes that face's depth and barycentrics again.
__global__ void resolve_pixels(RasterizeInput input, Fragments out) {
  const int64_t pixels = static_cast<int64_t>(input.height) * input.width;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t pixel = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; pixel < pixels; pixel += stride) {
    if (out.face_id[pixel] == -1) continue;
    const int64_t face = out.face_id[pixel] & 0xffffffffll;
    out.face_id[pixel] = face;
    Triangle triangle;
    set_up(input, face, triangle);
    double of_row[3], value[3];
    for (int i = 0; i < 3; ++i) of_row[i] = row_value(triangle.edge[i], static_cast<int>(pixel / input.width));
    covers(triangle, of_row, static_cast<int>(pixel % input.width), value);
    depth_at(triangle, input.perspective, value, out.depth[pixel]);
    for (int i = 0; i < 3; ++i) out.barycentrics[3 * pixel + i] = static_cast<float>(value[i]);
  }
}

template <typename Drawn>
void draw(const RasterizeInput& input, const Fragments& out, Drawn drawn, uint64_t stream, const char* name) {
  if (input.face_count == 0) return;
  if (input.face_count >= int64_t{1} << 32) throw std::runtime_error(std::string(name) + ": a key has room for 2^32 faces");
  draw_faces<<<blocks_for(input.face_count * kWarp), kThreads, 0, as_stream(stream)>>>(input, reinterpret_cast<Key*>(out.face_id), drawn);
  check_launch(name);
  resolve_pixels<<<blocks_for(static_cast<int64_t>(input.height) * input.width), kThreads, 0, as_stream(stream)>>>(input, out);
  check_launch(name);
}

}  // namespace
}  // namespace deep3dmap::cuda

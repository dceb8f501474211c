#include "cuda/check.cuh"
#include "cuda/launch.h"

namespace deep3dmap::cuda {
namespace {

constexpr int kWarp = 32;

// Orders depths as unsigned numbers, negative ones included; adding 0 makes -0 and 0 equal.
__device__ unsigned ordered(float depth) {
  const unsigned bits = __float_as_uint(depth + 0.f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// One warp for each triangle. The key of a fragment is its depth, then its face, so the minimum is the nearest and of equals the
// lower face, in whatever order warps run. Keys are kept in `face_id`, whose empty value, -1, is the largest key.
__global__ void draw_triangles(RasterizeInput input, unsigned long long* keys) {
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
        const unsigned long long key = static_cast<unsigned long long>(ordered(depth)) << 32 | static_cast<unsigned long long>(face);
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

}  // namespace

void rasterize(const RasterizeInput& input, const Fragments& out, uint64_t stream) {
  if (input.face_count == 0) return;
  if (input.face_count >= int64_t{1} << 32) throw std::runtime_error("rasterize: a key has room for 2^32 faces");
  auto* keys = reinterpret_cast<unsigned long long*>(out.face_id);
  draw_triangles<<<blocks_for(input.face_count * kWarp), kThreads, 0, as_stream(stream)>>>(input, keys);
  check_launch("rasterize");
  resolve_pixels<<<blocks_for(static_cast<int64_t>(input.height) * input.width), kThreads, 0, as_stream(stream)>>>(input, out);
  check_launch("rasterize");
}

}  // namespace deep3dmap::cuda

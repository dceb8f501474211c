// Shared by the z-buffers of both hard rasterisers: fragment keys whose minimum is the visible fragment, regardless of execution
// order.
#pragma once

#include "cuda/check.cuh"
#include "cuda/face_corners.cuh"
#include "kernels/rasterize.h"

namespace deep3dmap::cuda {
namespace {

using Key = unsigned long long;

// Maps depths, including negative ones, to unsigned integers of the same order; adding 0 makes -0 and 0 equal.
__device__ unsigned ordered(float depth) {
  const unsigned bits = __float_as_uint(depth + 0.f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Faces to be drawn by whole warps, as `image * face_count + face`, and a flag for faces with an invalid corner: see `draw`.
struct FaceQueue {
  unsigned* count;
  unsigned* wrong;
  unsigned* faces;
};

// Draws every `step`-th pixel of a row into the keys of its image. The key of a fragment is its depth followed by its face, so the
// minimum is the nearest fragment and, at equal depth, the lower face index. `drawn` returns whether a depth is drawn.
template <typename Drawn>
__device__ void draw_row(const RasterizeInput& input, const Triangle& triangle, int row, unsigned first, unsigned step, int64_t face,
                         Key* keys, const Drawn& drawn) {
  double of_row[3], value[3];
  for (int i = 0; i < 3; ++i) of_row[i] = row_value(triangle.edge[i], row);
  for (unsigned column = triangle.left + first; column < static_cast<unsigned>(triangle.right); column += step) {
    float depth;
    if (!covers(triangle, of_row, static_cast<int>(column), value) || !depth_at(triangle, input.perspective, value, depth)) continue;
    if (!drawn(depth)) continue;
    const Key key = static_cast<Key>(ordered(depth)) << 32 | static_cast<Key>(face);
    atomicMin(keys + static_cast<int64_t>(row) * input.width + column, key);
  }
}

// Draws a face if it spans at most `max_pixels` pixels, and otherwise queues it for a warp.
template <typename Drawn>
__device__ void draw_or_queue(const RasterizeInput& mesh, int64_t image, int64_t face, int64_t max_pixels, Key* keys,
                              const FaceQueue& queue, const Drawn& drawn) {
  if (!corners_exist(mesh, face)) {
    *queue.wrong = 1;
    return;
  }
  Triangle triangle;
  if (!set_up(mesh, face, triangle)) return;
  if (static_cast<int64_t>(triangle.right - triangle.left) * (triangle.bottom - triangle.top) > max_pixels) {
    queue.faces[atomicAdd(queue.count, 1u)] = static_cast<unsigned>(image * mesh.face_count + face);
    return;
  }
  for (int row = triangle.top; row < triangle.bottom; ++row) draw_row(mesh, triangle, row, 0, 1, face, keys, drawn);
}

// One thread per face, one row of blocks per image.
template <typename Drawn>
__global__ void draw_alone(RasterizeInput input, int64_t max_pixels, Key* keys, FaceQueue queue, Drawn drawn) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (int64_t image = blockIdx.y; image < input.images; image += gridDim.y) {
    const RasterizeInput mesh = mesh_of(input, image);
    Key* const own = keys + image * pixel_count(input);
    for (int64_t face = first; face < input.face_count; face += stride) draw_or_queue(mesh, image, face, max_pixels, own, queue, drawn);
  }
}

// The lanes of a warp share the pixels of a row; if there are more warps than faces, warps share the rows of a face.
template <typename Drawn>
__global__ void draw_together(RasterizeInput input, Key* keys, FaceQueue queue, Drawn drawn) {
  const unsigned count = *queue.count, lane = threadIdx.x % kWarp;
  const int64_t warps = static_cast<int64_t>(gridDim.x) * blockDim.x / kWarp;
  const int64_t sharing = count == 0 || count >= warps ? 1 : warps / count;
  for (int64_t item = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp; item < count * sharing; item += warps) {
    const int64_t image = queue.faces[item / sharing] / input.face_count, face = queue.faces[item / sharing] % input.face_count;
    Triangle triangle;
    set_up(mesh_of(input, image), face, triangle);
    Key* const own = keys + image * pixel_count(input);
    for (int64_t row = triangle.top + item % sharing; row < triangle.bottom; row += sharing)
      draw_row(input, triangle, static_cast<int>(row), lane, kWarp, face, own, drawn);
  }
}

// Converts the key of a pixel, stored in `face_id` (-1, the empty value, is the largest key), to a face and recomputes the depth and
// barycentrics of that face.
__device__ void resolve_pixel(const RasterizeInput& mesh, const Fragments& out, int64_t pixel) {
  float depth = 0.f;
  double value[3] = {};
  if (out.face_id[pixel] != -1) {
    const int64_t face = out.face_id[pixel] & 0xffffffffll;
    out.face_id[pixel] = face;
    Triangle triangle;
    set_up(mesh, face, triangle);
    const int row = static_cast<int>(pixel) / mesh.width;
    double of_row[3];
    for (int i = 0; i < 3; ++i) of_row[i] = row_value(triangle.edge[i], row);
    covers(triangle, of_row, static_cast<int>(pixel) - row * mesh.width, value);
    depth_at(triangle, mesh.perspective, value, depth);
  }
  out.depth[pixel] = depth;
  for (int i = 0; i < 3; ++i) out.barycentrics[3 * pixel + i] = static_cast<float>(value[i]);
}

// One thread per pixel, one row of blocks per image.
__global__ void resolve_pixels(RasterizeInput input, Fragments out) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (int64_t image = blockIdx.y; image < input.images; image += gridDim.y) {
    const RasterizeInput mesh = mesh_of(input, image);
    const Fragments own = image_of(out, image, pixel_count(input));
    for (int64_t pixel = first; pixel < pixel_count(input); pixel += stride) resolve_pixel(mesh, own, pixel);
  }
}

// Blocks for `count` threads for each image.
inline dim3 blocks_per_image(int64_t count, int64_t images) {
  return {blocks_for(count), static_cast<unsigned>(std::clamp<int64_t>(images, 1, 65535))};
}

inline void fill(void* data, int byte, int64_t bytes, cudaStream_t stream, const char* name) {
  if (bytes > 0 && cudaMemsetAsync(data, byte, bytes, stream) != cudaSuccess) check_launch(name);
}

// Overwrites `out`. scratch: two values followed by one per face of every image. The second is set to 1 if any face has an invalid
// corner index; such faces are skipped.
template <typename Drawn>
void draw(const RasterizeInput& input, const Fragments& out, uint32_t* scratch, Drawn drawn, uint64_t handle, const char* name) {
  const int64_t faces = input.images * input.face_count;
  if (faces >= int64_t{1} << 32) throw std::runtime_error(std::string(name) + ": a batch can have fewer than 2^32 faces");
  const cudaStream_t stream = as_stream(handle);
  const FaceQueue queue{scratch, scratch + 1, scratch + 2};
  auto* const keys = reinterpret_cast<Key*>(out.face_id);
  fill(scratch, 0, 2 * sizeof(uint32_t), stream, name);
  fill(keys, 0xff, input.images * pixel_count(input) * sizeof(Key), stream, name);
  if (faces > 0) {
    // Many faces fill the device with one thread each; few faces only do so if warps share them.
    const int64_t max_pixels = std::clamp<int64_t>(faces / 512, 16, 64);
    draw_alone<<<blocks_per_image(input.face_count, input.images), kThreads, 0, stream>>>(input, max_pixels, keys, queue, drawn);
    check_launch(name);
    draw_together<<<1024, kThreads, 0, stream>>>(input, keys, queue, drawn);
    check_launch(name);
  }
  resolve_pixels<<<blocks_per_image(pixel_count(input), input.images), kThreads, 0, stream>>>(input, out);
  check_launch(name);
}

}  // namespace
}  // namespace deep3dmap::cuda

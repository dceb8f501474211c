// Soft rasterisation: one thread block per square tile of pixels, which visits the faces whose bounding boxes overlap it.
#include "cuda/rasterize_soft.h"

#include "cuda/block_rank.cuh"
#include "cuda/check.cuh"
#include "cuda/face_corners.cuh"

namespace deep3dmap::cuda {
namespace {

constexpr int kBlock = kSoftGroup;  // one thread per face of a group

__device__ SoftBox unite(const SoftBox& a, const SoftBox& b) {
  return {min(a.left, b.left), max(a.right, b.right), min(a.top, b.top), max(a.bottom, b.bottom)};
}

template <int kSide>
__device__ bool meets(const SoftBox& box, int left, int top) {
  return box.left < left + kSide && box.right > left && box.top < top + kSide && box.bottom > top;
}

__global__ void __launch_bounds__(kBlock) bound_faces(SoftInput input, SoftBox* boxes, SoftBox* groups, SoftBox* report) {
  __shared__ SoftBox parts[kBlock];
  const int64_t face = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  SoftFace corners;
  SoftBox box = {INT32_MAX, 0, INT32_MAX, 0};
  const bool known = face < input.face_count && corners_exist(input, face);
  if (face < input.face_count && !known) report->left = 1;
  if (known && load_face(input, face, corners)) box = soft_box(input, corners);
  if (face < input.face_count) boxes[face] = box;
  parts[threadIdx.x] = box;
  __syncthreads();
  for (unsigned half = kBlock / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) parts[threadIdx.x] = unite(parts[threadIdx.x], parts[threadIdx.x + half]);
    __syncthreads();
  }
  if (threadIdx.x == 0) groups[blockIdx.x] = parts[0];
}

// Orders candidates by key and, for equal keys, by face index.
__device__ bool comes_before(float key, int face, float other_key, int other_face) {
  return key < other_key || (key == other_key && face < other_face);
}

// Inserts a candidate into the nearest faces of a pixel, ascending; empty entries have an infinite key.
template <int kMost>
__device__ void insert(float (&keys)[kMost], int (&kept)[kMost], float key, int face) {
  if (!(key < INFINITY) || !(key > -INFINITY) || !comes_before(key, face, keys[kMost - 1], kept[kMost - 1])) return;
  // Unrolled if the lists fit into registers, which cannot be indexed.
#pragma unroll(kMost <= 16 ? kMost : 1)
  for (int i = kMost - 1; i >= 0; --i) {
    const int before = i > 0 ? i - 1 : 0;
    if (i > 0 && comes_before(key, face, keys[before], kept[before])) keys[i] = keys[before], kept[i] = kept[before];
    else if (comes_before(key, face, keys[i], kept[i])) keys[i] = key, kept[i] = face;
  }
}

// A tile has kSide x kSide pixels with kParts threads each. Each thread tests every kParts-th face, and the results are merged at
// the end.
template <int kMost, int kSide, int kParts>
__global__ void __launch_bounds__(kSide * kSide * kParts) select_nearest(SoftInput input, const SoftBox* boxes, const SoftBox* groups,
                                                                         int64_t* face_id) {
  constexpr int kPixels = kSide * kSide, kOfTile = kPixels * kParts, kLoaded = 256 < kOfTile ? 256 : kOfTile;
  __shared__ int ids[kOfTile];
  __shared__ SoftFace faces[kLoaded];
  __shared__ SoftBox reach[kLoaded];
  __shared__ int of_warp[kOfTile / kWarp];
  __shared__ float found_keys[kParts > 1 ? kMost * kPixels : 1];
  __shared__ int found_faces[kParts > 1 ? kMost * kPixels : 1];
  const int across = (input.width + kSide - 1) / kSide;
  const int left = static_cast<int>(blockIdx.x % across) * kSide, top = static_cast<int>(blockIdx.x / across) * kSide;
  const int thread = static_cast<int>(threadIdx.x), pixel = thread % kPixels, part = thread / kPixels;
  const int column = left + pixel % kSide, row = top + pixel / kSide;
  float keys[kMost];
  int kept[kMost];
#pragma unroll
  for (int i = 0; i < kMost; ++i) keys[i] = INFINITY, kept[i] = -1;
  for (int64_t first = 0; first < input.face_count; first += kOfTile) {
    const int64_t face = first + thread;
    const bool here = face < input.face_count && meets<kSide>(groups[face / kSoftGroup], left, top) && meets<kSide>(boxes[face], left, top);
    int all;
    const int place = rank_in_block<kOfTile>(here, of_warp, all);
    if (here) ids[place] = static_cast<int>(face);
    __syncthreads();
    for (int done = 0; done < all; done += kLoaded) {
      const int loaded = min(all - done, kLoaded);
      if (thread < loaded) {
        load_face(input, ids[done + thread], faces[thread]);
        reach[thread] = boxes[ids[done + thread]];
      }
      __syncthreads();
      for (int i = part; i < loaded; i += kParts) {
        const SoftBox& box = reach[i];
        if (column < box.left || column >= box.right || row < box.top || row >= box.bottom) continue;
        SoftSteps steps;
        const SoftFace seen = seen_from(faces[i], column + 0.5f, row + 0.5f);
        insert(keys, kept, soft_key(input, look_at_face(seen, input.perspective, input.clip, steps)), ids[done + i]);
      }
      __syncthreads();
    }
  }
  for (int other = 1; other < kParts; ++other) {
    __syncthreads();
    if (part == other)
      for (int i = 0; i < kMost; ++i) found_keys[i * kPixels + pixel] = keys[i], found_faces[i * kPixels + pixel] = kept[i];
    __syncthreads();
    if (part == 0)
      for (int i = 0; i < kMost; ++i) insert(keys, kept, found_keys[i * kPixels + pixel], found_faces[i * kPixels + pixel]);
  }
  if (part > 0 || column >= input.width || row >= input.height) return;
  int64_t* out = face_id + (static_cast<int64_t>(row) * input.width + column) * input.faces_per_pixel;
#pragma unroll
  for (int i = 0; i < kMost; ++i)
    if (i < input.faces_per_pixel) out[i] = kept[i];
}

// The face of a fragment, relative to its pixel.
struct Look {
  SoftFace seen;
  SoftSteps steps;
  SoftFragment at;
};

__device__ Look look(const SoftInput& input, const SoftFace& face, int64_t cell) {
  const int64_t pixel = cell / input.faces_per_pixel;
  Look found;
  found.seen = seen_from(face, pixel % input.width + 0.5f, pixel / input.width + 0.5f);
  found.at = look_at_face(found.seen, input.perspective, input.clip, found.steps);
  return found;
}

__global__ void look_at_cells(SoftInput input, const int64_t* face_id, float* depth, float* barycentrics, float* distance) {
  const int64_t cells = static_cast<int64_t>(input.height) * input.width * input.faces_per_pixel;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t cell = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; cell < cells; cell += stride) {
    const int64_t id = face_id[cell];
    SoftFace face;
    SoftFragment at{};
    if (id >= 0 && load_face(input, id, face)) at = look(input, face, cell).at;
    depth[cell] = at.depth, distance[cell] = at.distance;
    for (int i = 0; i < 3; ++i) barycentrics[3 * cell + i] = at.barycentric[i];
  }
}

// Locates the fragments of a face: either grouped by a sort, ...
struct SortedCells {
  const int64_t* cells;
  const int64_t* starts;

  template <typename Visit>
  __device__ void each(const SoftInput&, const SoftFace&, int64_t face, const Visit& visit) const {
    for (int64_t i = starts[face] + threadIdx.x; i < starts[face + 1]; i += kThreads) visit(cells[i]);
  }
};

// ... or in the pixels within the reach of the face, at most once in each. Unused entries at the end of a pixel are -1.
struct ReachedCells {
  const int64_t* face_id;

  template <typename Visit>
  __device__ void each(const SoftInput& input, const SoftFace& corners, int64_t face, const Visit& visit) const {
    const SoftBox box = soft_box(input, corners);
    if (box.left >= box.right || box.top >= box.bottom) return;
    // Fewer than 2^31, the limit for an image.
    const unsigned across = box.right - box.left, pixels = across * (box.bottom - box.top);
    for (unsigned i = threadIdx.x; i < pixels; i += kThreads) {
      const int64_t row = box.top + i / across, first = (row * input.width + box.left + i % across) * input.faces_per_pixel;
      for (int k = 0; k < input.faces_per_pixel; ++k) {
        const int64_t id = face_id[first + k];
        if (id == face) visit(first + k);
        if (id == face || id < 0) break;
      }
    }
  }
};

// One thread block per face.
template <typename Cells>
__global__ void __launch_bounds__(kThreads) sum_gradients(SoftInput input, Cells cells, SoftGradients gradients, float* corners) {
  __shared__ float parts[kThreads / kWarp][9];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (int64_t index = blockIdx.x; index < input.face_count; index += gridDim.x) {
    float sum[9] = {};
    SoftFace face;
    if (load_face(input, index, face)) {
      cells.each(input, face, index, [&](int64_t cell) {
        const Look found = look(input, face, cell);
        face_gradient(found.seen, found.at, found.steps, input.perspective, input.clip, gradients.depth[cell],
                      gradients.barycentrics + 3 * cell, gradients.distance[cell], sum);
      });
    }
    for (int i = 0; i < 9; ++i) {
      for (int offset = kWarp / 2; offset > 0; offset /= 2) sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], offset);
      if (lane == 0) parts[warp][i] = sum[i];
    }
    __syncthreads();
    if (threadIdx.x < 9) {
      float whole = 0.f;
      for (int w = 0; w < kThreads / kWarp; ++w) whole += parts[w][threadIdx.x];
      corners[9 * index + threadIdx.x] = whole;
    }
    __syncthreads();
  }
}

template <int kMost, int kSide, int kParts>
void select(const SoftInput& input, const SoftBox* boxes, const SoftBox* groups, int64_t* face_id, cudaStream_t stream) {
  const int64_t tiles = int64_t{(input.width - 1) / kSide + 1} * ((input.height - 1) / kSide + 1);
  select_nearest<kMost, kSide, kParts><<<static_cast<unsigned>(tiles), kSide * kSide * kParts, 0, stream>>>(input, boxes, groups, face_id);
}

// Up to this number of faces, small tiles whose pixels are shared by several threads are fastest. With more faces, the boxes of
// all groups, which every tile reads, dominate, and large tiles read them less often. Measured on an H200 with 4,800, 50,000 and
// 500,000 faces, the last with up to 8 faces per pixel only.
constexpr int64_t kFewFaces = 65536;

template <int kMost, int kPartsOfFew, int kSide, int kParts>
void choose(bool few, const SoftInput& input, const SoftBox* boxes, const SoftBox* groups, int64_t* face_id, cudaStream_t stream) {
  if (few) select<kMost, 8, kPartsOfFew>(input, boxes, groups, face_id, stream);
  else select<kMost, kSide, kParts>(input, boxes, groups, face_id, stream);
}

}  // namespace

void select_faces(const SoftInput& input, SoftBox* boxes, int64_t* face_id, uint64_t handle) {
  if (input.height == 0 || input.width == 0) return;
  if (input.face_count > INT32_MAX) throw std::runtime_error("select_faces: more faces than an int32 can count");
  const cudaStream_t stream = as_stream(handle);
  const auto count = static_cast<unsigned>((input.face_count + kBlock - 1) / kBlock);
  SoftBox* const groups = boxes + input.face_count;
  SoftBox* const report = groups + count;
  if (cudaMemsetAsync(report, 0, sizeof(SoftBox), stream) != cudaSuccess) check_launch("select_faces");
  if (count > 0) bound_faces<<<count, kBlock, 0, stream>>>(input, boxes, groups, report);
  check_launch("select_faces");
  const bool few = input.face_count <= kFewFaces;
  if (input.faces_per_pixel == 1) choose<1, 8, 16, 4>(few, input, boxes, groups, face_id, stream);
  else if (input.faces_per_pixel <= 8) choose<8, 4, 16, 1>(few, input, boxes, groups, face_id, stream);
  else if (input.faces_per_pixel <= 16) choose<16, 4, 16, 1>(few, input, boxes, groups, face_id, stream);
  else if (input.faces_per_pixel <= 64) choose<64, 4, 16, 1>(few, input, boxes, groups, face_id, stream);
  else throw std::runtime_error("select_faces: at most 64 faces per pixel");
  check_launch("select_faces");
}

void evaluate_faces(const SoftInput& input, const int64_t* face_id, float* depth, float* barycentrics, float* distance,
                    uint64_t stream) {
  const int64_t cells = static_cast<int64_t>(input.height) * input.width * input.faces_per_pixel;
  if (cells == 0) return;
  look_at_cells<<<blocks_for(cells), kThreads, 0, as_stream(stream)>>>(input, face_id, depth, barycentrics, distance);
  check_launch("evaluate_faces");
}

namespace {

template <typename Cells>
void sum_all(const SoftInput& input, const Cells& cells, const SoftGradients& gradients, float* corners, uint64_t stream) {
  if (input.face_count == 0) return;
  const unsigned blocks = static_cast<unsigned>(std::min<int64_t>(input.face_count, int64_t{1} << 30));
  sum_gradients<<<blocks, kThreads, 0, as_stream(stream)>>>(input, cells, gradients, corners);
  check_launch("evaluate_faces_backward");
}

}  // namespace

void evaluate_faces_backward(const SoftInput& input, const int64_t* cells, const int64_t* starts, const SoftGradients& gradients,
                             float* corners, uint64_t stream) {
  sum_all(input, SortedCells{cells, starts}, gradients, corners, stream);
}

void selected_faces_backward(const SoftInput& input, const int64_t* face_id, const SoftGradients& gradients, float* corners,
                             uint64_t stream) {
  sum_all(input, ReachedCells{face_id}, gradients, corners, stream);
}

}  // namespace deep3dmap::cuda

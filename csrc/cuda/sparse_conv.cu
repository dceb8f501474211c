// Sparse convolution: a thread block computes 64 x 64 values, each thread 4 x 4 of them, over slices of 16 in shared memory.
// There are no atomics: each block owns its part of the result.
#include <vector>

#include "cuda/sparse.h"
#include "cuda/sparse_scratch.cuh"

namespace deep3dmap::cuda {
namespace {

constexpr int kTile = 64, kSlice = 16, kOwn = 4, kBlock = (kTile / kOwn) * (kTile / kOwn);
constexpr int64_t kSegmentPairs = 8192;  // summed separately in the weight gradient, as on the CPU

// One slice of both factors: left[d][row], right[d][column].
struct Slices {
  float left[kSlice][kTile + 4], right[kSlice][kTile + 4];
};

__device__ void multiply(const Slices& slices, float (&sum)[kOwn][kOwn]) {
  const int row = threadIdx.x / (kTile / kOwn) * kOwn, column = threadIdx.x % (kTile / kOwn) * kOwn;
  for (int d = 0; d < kSlice; ++d)
    for (int i = 0; i < kOwn; ++i)
      for (int j = 0; j < kOwn; ++j) sum[i][j] = fmaf(slices.left[d][row + i], slices.right[d][column + j], sum[i][j]);
}

__device__ void store(const float (&sum)[kOwn][kOwn], int64_t first_row, int64_t rows, int64_t first_column, int64_t columns, float* to) {
  const int64_t row = first_row + threadIdx.x / (kTile / kOwn) * kOwn, column = first_column + threadIdx.x % (kTile / kOwn) * kOwn;
  for (int i = 0; i < kOwn && row + i < rows; ++i)
    for (int j = 0; j < kOwn && column + j < columns; ++j) to[(row + i) * columns + column + j] = sum[i][j];
}

// One thread block per 64 output rows and 64 output channels; the table contains the input row for each offset and output.
__global__ void __launch_bounds__(kBlock) convolve(const int32_t* table, int64_t offsets, int64_t outputs, const float* features,
                                                   const float* weight, int64_t c_in, int64_t c_out, float* result) {
  __shared__ Slices slices;
  __shared__ int32_t rows[kTile];
  float sum[kOwn][kOwn] = {};
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kTile, column = static_cast<int64_t>(blockIdx.y) * kTile;
  for (int64_t k = 0; k < offsets; ++k) {
    bool any = false;
    if (threadIdx.x < kTile) {
      const int64_t o = first + threadIdx.x;
      rows[threadIdx.x] = o < outputs ? table[k * outputs + o] : -1;
      any = rows[threadIdx.x] >= 0;
    }
    if (!__syncthreads_or(any)) continue;
    for (int64_t start = 0; start < c_in; start += kSlice) {
      for (int i = threadIdx.x; i < kTile * kSlice; i += kBlock) {
        const int row = i / kSlice, d = i % kSlice;
        const bool there = rows[row] >= 0 && start + d < c_in;
        slices.left[d][row] = there ? features[static_cast<int64_t>(rows[row]) * c_in + start + d] : 0.f;
        const int e = i / kTile, j = i % kTile;
        const bool filled = start + e < c_in && column + j < c_out;
        slices.right[e][j] = filled ? weight[(k * c_in + start + e) * c_out + column + j] : 0.f;
      }
      __syncthreads();
      multiply(slices, sum);
      __syncthreads();
    }
  }
  store(sum, first, outputs, column, c_out, result);
}

__global__ void enter_pairs(const int32_t* in_rows, const int32_t* out_rows, int64_t count, int32_t* table) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t p = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; p < count; p += stride) table[out_rows[p]] = in_rows[p];
}

// Pairs [start, stop) of one offset.
struct Segment {
  int64_t offset, start, stop;
};

// One thread block per segment and 64 x 64 of its (c_in, c_out) sums.
__global__ void __launch_bounds__(kBlock) multiply_segments(const Segment* segments, const int32_t* in_rows, const int32_t* out_rows,
                                                            const float* features, const float* gradient, int64_t c_in, int64_t c_out,
                                                            float* sums) {
  __shared__ Slices slices;
  float sum[kOwn][kOwn] = {};
  const Segment segment = segments[blockIdx.x];
  const int64_t row = static_cast<int64_t>(blockIdx.y) * kTile, column = static_cast<int64_t>(blockIdx.z) * kTile;
  for (int64_t start = segment.start; start < segment.stop; start += kSlice) {
    for (int i = threadIdx.x; i < kTile * kSlice; i += kBlock) {
      const int d = i / kTile, j = i % kTile;
      const int64_t p = start + d;
      const bool there = p < segment.stop;
      slices.left[d][j] = there && row + j < c_in ? features[in_rows[p] * c_in + row + j] : 0.f;
      slices.right[d][j] = there && column + j < c_out ? gradient[out_rows[p] * c_out + column + j] : 0.f;
    }
    __syncthreads();
    multiply(slices, sum);
    __syncthreads();
  }
  store(sum, row, c_in, column, c_out, sums + static_cast<int64_t>(blockIdx.x) * c_in * c_out);
}

// The segments of an offset are consecutive; `firsts[k]` is the first one of offset k.
__global__ void add_segments(const int64_t* firsts, int64_t offsets, int64_t slice, const float* sums, float* result) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < offsets * slice; i += stride) {
    const int64_t k = i / slice;
    float sum = 0.f;
    for (int64_t s = firsts[k]; s < firsts[k + 1]; ++s) sum += sums[s * slice + i - k * slice];
    result[i] = sum;
  }
}

unsigned tiles(int64_t count) { return static_cast<unsigned>((count + kTile - 1) / kTile); }

}  // namespace

void sparse_conv_forward(const SparsePairs& pairs, const float* features, const float* weight, int64_t c_in, int64_t c_out,
                         float* result, uint64_t handle) {
  if (pairs.outputs == 0 || c_out == 0) return;
  const cudaStream_t stream = as_stream(handle);
  Scratch<int32_t> table(pairs.offsets * pairs.outputs, stream);
  table.fill(0xff, pairs.offsets * pairs.outputs);
  for (int64_t k = 0; k < pairs.offsets; ++k) {
    const int64_t start = pairs.splits[k], count = pairs.splits[k + 1] - start;
    if (count == 0) continue;
    int32_t* to = table.data() + k * pairs.outputs;
    enter_pairs<<<blocks_for(count), kThreads, 0, stream>>>(pairs.in_rows + start, pairs.out_rows + start, count, to);
    check_launch("sparse_conv_forward");
  }
  const dim3 blocks(tiles(pairs.outputs), tiles(c_out));
  convolve<<<blocks, kBlock, 0, stream>>>(table.data(), pairs.offsets, pairs.outputs, features, weight, c_in, c_out, result);
  check_launch("sparse_conv_forward");
}

void sparse_conv_weight_gradient(const SparsePairs& pairs, const float* features, const float* gradient, int64_t c_in, int64_t c_out,
                                 float* result, uint64_t handle) {
  const int64_t slice = c_in * c_out;
  if (pairs.offsets * slice == 0) return;
  const cudaStream_t stream = as_stream(handle);
  std::vector<Segment> segments;
  std::vector<int64_t> firsts{0};
  for (int64_t k = 0; k < pairs.offsets; ++k) {
    for (int64_t p = pairs.splits[k]; p < pairs.splits[k + 1]; p += kSegmentPairs)
      segments.push_back({k, p, std::min(p + kSegmentPairs, pairs.splits[k + 1])});
    firsts.push_back(static_cast<int64_t>(segments.size()));
  }
  const int64_t count = firsts.back();
  Scratch<Segment> of_device(count, stream);
  Scratch<int64_t> starts(pairs.offsets + 1, stream);
  Scratch<float> sums(count * slice, stream);
  of_device.copy_from(segments.data(), count);
  starts.copy_from(firsts.data(), pairs.offsets + 1);
  if (count > 0) {
    const dim3 blocks(static_cast<unsigned>(count), tiles(c_in), tiles(c_out));
    multiply_segments<<<blocks, kBlock, 0, stream>>>(of_device.data(), pairs.in_rows, pairs.out_rows, features, gradient, c_in, c_out,
                                                     sums.data());
    check_launch("sparse_conv_weight_gradient");
  }
  add_segments<<<blocks_for(pairs.offsets * slice), kThreads, 0, stream>>>(starts.data(), pairs.offsets, slice, sums.data(), result);
  check_launch("sparse_conv_weight_gradient");
}

}  // namespace deep3dmap::cuda

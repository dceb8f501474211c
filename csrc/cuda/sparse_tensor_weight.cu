// Weight gradient on tensor cores: for each segment of an offset's pairs, the product of the transposed features and the gradients,
// gathered row by row by a thread block; then the sum over the segments.
#include <type_traits>

#include "cuda/check.cuh"
#include "cuda/sparse_splits.cuh"
#include "cuda/sparse_tensor.h"
#include "cuda/tensor_core.cuh"

namespace deep3dmap::cuda {
namespace {

constexpr int kBlock = 256, kStages = 3;

// A thread block owns kSide x kSide values of a segment's product: 4 x 2 warps, each with a quarter of the rows and half of the
// columns.
template <typename T, int kSide>
struct Tile {
  static constexpr int kOfPiece = 16 / sizeof(T), kPieces = kSide / kOfPiece;
  static constexpr int kDepth = sizeof(T) == 4 ? 16 : 32;  // pairs per step
  static constexpr int kLine = kSide + 8;  // padded so that the values of a fragment are in different banks
  static constexpr int kStage = 2 * kDepth * kLine;
  static constexpr int kOwn = kDepth * kPieces / kBlock;
  static constexpr int kDown = kSide / 4 / 16, kAcross = kSide / 2 / 8;  // fragments of a warp

  const int32_t* in_rows;
  const int32_t* out_rows;
  int64_t start, stop;
  const T* features;
  const T* gradient;
  int c_in, c_out, row, column;
  T* memory;
  int32_t left[kOwn], right[kOwn];  // rows of the next step to copy

  __device__ void fetch(int64_t step) {
    for (int i = 0; i < kOwn; ++i) {
      const int64_t p = start + step * kDepth + (threadIdx.x + i * kBlock) / kPieces;
      left[i] = p < stop ? in_rows[p] : -1, right[i] = p < stop ? out_rows[p] : -1;
    }
  }

  __device__ void copy(int64_t step) {
    T* a = memory + step % kStages * kStage;
    T* b = a + kDepth * kLine;
    const int at = threadIdx.x % kPieces * kOfPiece;
    for (int i = 0; i < kOwn; ++i) {
      const int deep = (threadIdx.x + i * kBlock) / kPieces;
      const bool in = left[i] >= 0 && row + at < c_in, out = right[i] >= 0 && column + at < c_out;
      copy_async(a + deep * kLine + at, in ? features + static_cast<int64_t>(left[i]) * c_in + row + at : features, in);
      copy_async(b + deep * kLine + at, out ? gradient + static_cast<int64_t>(right[i]) * c_out + column + at : gradient, out);
    }
  }

  __device__ void load(const T* a, const T* b, int deep, uint32_t (&of_a)[kDown][4], uint32_t (&of_b)[kAcross][2]) const {
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int down = warp / 2 * (kSide / 4), across = warp % 2 * (kSide / 2);
    if constexpr (sizeof(T) == 4) {
      const int d = deep + lane % 4, at = lane / 4;
#pragma unroll
      for (int i = 0; i < kDown; ++i)
#pragma unroll
        for (int r = 0; r < 4; ++r)
          of_a[i][r] = to_tf32(__float_as_uint(a[(d + r / 2 * 4) * kLine + down + 16 * i + r % 2 * 8 + at]));
#pragma unroll
      for (int j = 0; j < kAcross; ++j)
#pragma unroll
        for (int r = 0; r < 2; ++r) of_b[j][r] = to_tf32(__float_as_uint(b[(d + r * 4) * kLine + across + 8 * j + at]));
    } else {
      const int matrix = lane / 8;
#pragma unroll
      for (int i = 0; i < kDown; ++i)
        load_transposed(of_a[i], a + (deep + matrix / 2 * 8 + lane % 8) * kLine + down + 16 * i + matrix % 2 * 8);
#pragma unroll
      for (int j = 0; j < kAcross; j += 2) {
        uint32_t both[4];
        load_transposed(both, b + (deep + matrix % 2 * 8 + lane % 8) * kLine + across + 8 * j + matrix / 2 * 8);
        of_b[j][0] = both[0], of_b[j][1] = both[1], of_b[j + 1][0] = both[2], of_b[j + 1][1] = both[3];
      }
    }
  }

  __device__ void multiply(int64_t step, float (&sum)[kDown][kAcross][4]) const {
    const T* a = memory + step % kStages * kStage;
    const T* b = a + kDepth * kLine;
    if constexpr (std::is_same_v<T, Exact>) multiply_exactly(a, b, &sum[0][0][0]);
    else multiply_fragments(a, b, sum);
  }

  // 16 x 16 threads, each with 4 neighbouring rows and columns of every 64.
  __device__ void multiply_exactly(const T* a, const T* b, float* sum) const {
    constexpr int kQuads = kSide / 64;
    const int down = threadIdx.x / 16 * 4, across = threadIdx.x % 16 * 4;
#pragma unroll 4
    for (int deep = 0; deep < kDepth; ++deep) {
      float4 of_a[kQuads], of_b[kQuads];
#pragma unroll
      for (int q = 0; q < kQuads; ++q) {
        of_a[q] = *reinterpret_cast<const float4*>(a + deep * kLine + down + 64 * q);
        of_b[q] = *reinterpret_cast<const float4*>(b + deep * kLine + across + 64 * q);
      }
#pragma unroll
      for (int i = 0; i < 4 * kQuads; ++i)
#pragma unroll
        for (int j = 0; j < 4 * kQuads; ++j) {
          float& to = sum[i * 4 * kQuads + j];
          to = fmaf(part(of_a[i / 4], i % 4), part(of_b[j / 4], j % 4), to);
        }
    }
  }

  static __device__ float part(const float4& four, int i) { return i == 0 ? four.x : i == 1 ? four.y : i == 2 ? four.z : four.w; }

  __device__ void multiply_fragments(const T* a, const T* b, float (&sum)[kDown][kAcross][4]) const {
#pragma unroll
    for (int deep = 0; deep < kDepth; deep += kDepth / 2) {
      uint32_t of_a[kDown][4], of_b[kAcross][2];
      load(a, b, deep, of_a, of_b);
#pragma unroll
      for (int i = 0; i < kDown; ++i)
#pragma unroll
        for (int j = 0; j < kAcross; ++j) multiply_add(sum[i][j], of_a[i], of_b[j], T{});
    }
  }

  __device__ void store(const float (&sum)[kDown][kAcross][4], float* to) const {
    if constexpr (std::is_same_v<T, Exact>) {
      constexpr int kQuads = kSide / 64;
      const float* own = &sum[0][0][0];
#pragma unroll
      for (int i = 0; i < 4 * kQuads; ++i)
#pragma unroll
        for (int j = 0; j < 4 * kQuads; ++j) {
          const int64_t m = row + i / 4 * 64 + threadIdx.x / 16 * 4 + i % 4, n = column + j / 4 * 64 + threadIdx.x % 16 * 4 + j % 4;
          if (m < c_in && n < c_out) to[m * c_out + n] = own[i * 4 * kQuads + j];
        }
    } else {
      store_fragments(sum, to);
    }
  }

  __device__ void store_fragments(const float (&sum)[kDown][kAcross][4], float* to) const {
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
#pragma unroll
    for (int i = 0; i < kDown; ++i)
#pragma unroll
      for (int j = 0; j < kAcross; ++j)
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          const int64_t m = row + warp / 2 * (kSide / 4) + 16 * i + r / 2 * 8 + lane / 4;
          const int64_t n = column + warp % 2 * (kSide / 2) + 8 * j + lane % 4 * 2 + r % 2;
          if (m < c_in && n < c_out) to[m * c_out + n] = sum[i][j][r];
        }
  }
};

template <typename T, int kSide>
__global__ void __launch_bounds__(kBlock, 2) multiply_segments(const int32_t* in_rows, const int32_t* out_rows, Splits splits,
                                                            int64_t length, const T* features, const T* gradient, int c_in, int c_out,
                                                            float* sums) {
  using Own = Tile<T, kSide>;
  extern __shared__ __align__(128) unsigned char memory[];
  const int64_t segment = splits.segments[0] + blockIdx.x;
  int k = 0;
  while (splits.segments[k + 1] <= segment) ++k;
  const int64_t start = splits.pairs[k] + (segment - splits.segments[k]) * length, stop = min(start + length, splits.pairs[k + 1]);
  Own tile{in_rows, out_rows, start, stop, features, gradient, c_in, c_out, static_cast<int>(blockIdx.y) * kSide,
           static_cast<int>(blockIdx.z) * kSide, reinterpret_cast<T*>(memory), {}, {}};
  float sum[Own::kDown][Own::kAcross][4] = {};
  const int64_t steps = (stop - start + Own::kDepth - 1) / Own::kDepth;
  for (int64_t step = 0; step < kStages - 1; ++step) {
    if (step < steps) tile.fetch(step), tile.copy(step);
    commit_copies();
  }
  if (kStages - 1 < steps) tile.fetch(kStages - 1);
  for (int64_t step = 0; step < steps; ++step) {
    wait_copies<kStages - 2>();
    __syncthreads();
    const int64_t next = step + kStages - 1;
    if (next < steps) tile.copy(next);
    commit_copies();
    if (next + 1 < steps) tile.fetch(next + 1);
    tile.multiply(step, sum);
  }
  tile.store(sum, sums + segment * c_in * c_out);
}

template <typename T>
__global__ void add_segments(Splits splits, int64_t slice, const float* sums, T* result) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < splits.count * slice; i += stride) {
    const int64_t k = i / slice;
    float sum = 0.f;
    for (int64_t s = splits.segments[k]; s < splits.segments[k + 1]; ++s) sum += sums[s * slice + i - k * slice];
    put(result[splits.first * slice + i], sum);
  }
}

template <typename T, int kSide>
void multiply(const SparsePairs& pairs, const Splits& splits, const T* features, const T* gradient, int64_t c_in, int64_t c_out,
              int64_t length, float* sums, cudaStream_t stream) {
  const int64_t segments = splits.segments[splits.count] - splits.segments[0];
  if (segments == 0) return;
  const auto kernel = multiply_segments<T, kSide>;
  constexpr int kBytes = kStages * Tile<T, kSide>::kStage * sizeof(T);
  if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes) != cudaSuccess) check_launch("sparse_tensor");
  const dim3 blocks(static_cast<unsigned>(segments), static_cast<unsigned>((c_in + kSide - 1) / kSide),
                    static_cast<unsigned>((c_out + kSide - 1) / kSide));
  kernel<<<blocks, kBlock, kBytes, stream>>>(pairs.in_rows, pairs.out_rows, splits, length, features, gradient, static_cast<int>(c_in),
                                             static_cast<int>(c_out), sums);
  check_launch("sparse_tensor_weight_gradient");
}

template <typename T>
void gradient_of_type(const SparsePairs& pairs, const void* features, const void* gradient, int64_t c_in, int64_t c_out, int64_t length,
                      float* sums, void* result, cudaStream_t stream) {
  const auto* left = static_cast<const T*>(features);
  const auto* right = static_cast<const T*>(gradient);
  int64_t segments = 0;
  for (int64_t first = 0; first < pairs.offsets; first += kOffsetsAtOnce) {
    const Splits splits = splits_from(pairs, first, length, segments);
    segments = splits.segments[splits.count];
    if (std::max(c_in, c_out) <= 64) multiply<T, 64>(pairs, splits, left, right, c_in, c_out, length, sums, stream);
    else multiply<T, 128>(pairs, splits, left, right, c_in, c_out, length, sums, stream);
    using Stored = std::conditional_t<std::is_same_v<T, Exact>, float, T>;
    auto* to = static_cast<Stored*>(result);
    add_segments<Stored><<<blocks_for(splits.count * c_in * c_out), kThreads, 0, stream>>>(splits, c_in * c_out, sums, to);
    check_launch("sparse_tensor_weight_gradient");
  }
}

}  // namespace

void sparse_tensor_weight_gradient(const SparsePairs& pairs, Numbers numbers, const void* features, const void* gradient, int64_t c_in,
                                   int64_t c_out, int64_t length, float* sums, void* result, uint64_t handle) {
  if (pairs.offsets * c_in * c_out == 0) return;
  const auto run = numbers == Numbers::float32 ? gradient_of_type<Exact>
                   : numbers == Numbers::tf32  ? gradient_of_type<float>
                   : numbers == Numbers::half  ? gradient_of_type<__half>
                                               : gradient_of_type<__nv_bfloat16>;
  run(pairs, features, gradient, c_in, c_out, length, sums, result, as_stream(handle));
}

}  // namespace deep3dmap::cuda

// A tile of the implicit product: copies the rows and filters of a step, multiplies them and stores the sums.
#pragma once

#include <type_traits>

#include "cuda/check.cuh"
#include "cuda/sparse_tensor.h"
#include "cuda/tensor_core.cuh"

namespace deep3dmap::cuda {
namespace {

constexpr int kBlock = 256, kStages = 3;
constexpr int kRows = 128, kRowsOfWarp = 32;  // 4 x 2 warps, each with 32 rows and half of the columns

// A row of shared memory has 4 or 8 pieces of 16 bytes, permuted so that equal pieces of 8 rows are in different banks.
template <int kPieces>
__device__ __forceinline__ int place_of(int row, int piece) {
  return (row * kPieces + (piece ^ (kPieces == 8 ? row & 7 : (row >> 1) & 3))) * 16;
}

// Work of one thread block. kColumns: output channels; kPieces: pieces of 16 bytes of input channels per step.
template <typename T, int kColumns, int kPieces>
struct Tile {
  static constexpr int kOfPiece = 16 / sizeof(T), kDepth = kPieces * kOfPiece;
  static constexpr int kStage = (kRows + kColumns) * kPieces * 16;
  static constexpr int kOwnRows = kRows * kPieces / kBlock;  // pieces copied by a thread
  static constexpr int kOwnColumns = (kColumns * kPieces + kBlock - 1) / kBlock;
  static constexpr int kAcross = kColumns / 2 / 8;  // fragments of a warp

  const int32_t* table;
  int64_t outputs, first;
  const T* features;
  const T* filters;
  int c_in, c_out, column, parts;  // parts: steps per offset
  const int* offsets;              // those with pairs, in shared memory
  unsigned char* memory;
  int32_t ahead[kOwnRows];  // input rows of the next step to copy

  __device__ void fetch(int step) {
    const int64_t offset = offsets[step / parts];
    for (int i = 0; i < kOwnRows; ++i) {
      const int64_t row = first + (threadIdx.x + i * kBlock) / kPieces;
      ahead[i] = row < outputs ? table[offset * outputs + row] : -1;
    }
  }

  __device__ void copy(int step) {
    unsigned char* rows = memory + step % kStages * kStage;
    unsigned char* columns = rows + kRows * kPieces * 16;
    const int64_t offset = offsets[step / parts];
    const int piece = threadIdx.x % kPieces, channel = step % parts * kDepth + piece * kOfPiece;
    for (int i = 0; i < kOwnRows; ++i) {
      const bool there = ahead[i] >= 0 && channel < c_in;
      const T* from = there ? features + static_cast<int64_t>(ahead[i]) * c_in + channel : features;
      copy_async(rows + place_of<kPieces>((threadIdx.x + i * kBlock) / kPieces, piece), from, there);
    }
    for (int i = 0; i < kOwnColumns; ++i) {
      const int j = (threadIdx.x + i * kBlock) / kPieces;
      if (j >= kColumns) break;
      const bool there = column + j < c_out && channel < c_in;
      const T* from = there ? filters + (offset * c_out + column + j) * c_in + channel : filters;
      copy_async(columns + place_of<kPieces>(j, piece), from, there);
    }
  }

  __device__ void multiply(int step, float (&sum)[2][kAcross][4]) const {
    const unsigned char* rows = memory + step % kStages * kStage;
    const unsigned char* columns = rows + kRows * kPieces * 16;
    if constexpr (std::is_same_v<T, Exact>) multiply_exactly(rows, columns, sum);
    else multiply_fragments(rows, columns, sum);
  }

  // 16 x 16 threads, each with every 16th row and column.
  __device__ void multiply_exactly(const unsigned char* rows, const unsigned char* columns, float (&sum)[2][kAcross][4]) const {
    const int row = threadIdx.x / 16, across = threadIdx.x % 16;
#pragma unroll 2
    for (int d = 0; d < kPieces; ++d) {
      float4 a[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) a[i] = *reinterpret_cast<const float4*>(rows + place_of<kPieces>(row + 16 * i, d));
#pragma unroll
      for (int j = 0; j < kAcross; ++j) {
        const float4 b = *reinterpret_cast<const float4*>(columns + place_of<kPieces>(across + 16 * j, d));
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          float& to = sum[i / 4][j][i % 4];
          to = fmaf(a[i].w, b.w, fmaf(a[i].z, b.z, fmaf(a[i].y, b.y, fmaf(a[i].x, b.x, to))));
        }
      }
    }
  }

  __device__ void multiply_fragments(const unsigned char* rows, const unsigned char* columns, float (&sum)[2][kAcross][4]) const {
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, matrix = lane / 8;
    const int row = warp / 2 * kRowsOfWarp + matrix % 2 * 8 + lane % 8, high = matrix / 2;
    const int across = warp % 2 * (kColumns / 2) + matrix / 2 * 8 + lane % 8, deep = matrix % 2;
#pragma unroll
    for (int d = 0; d < kPieces; d += 2) {
      uint32_t a[2][4], b[kAcross / 2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) load_matrices(a[i], rows + place_of<kPieces>(row + 16 * i, d + high));
#pragma unroll
      for (int j = 0; j < kAcross / 2; ++j) load_matrices(b[j], columns + place_of<kPieces>(across + 16 * j, d + deep));
      if constexpr (sizeof(T) == 4) {
#pragma unroll
        for (int r = 0; r < 4; ++r) {
#pragma unroll
          for (int i = 0; i < 2; ++i) a[i][r] = to_tf32(a[i][r]);
#pragma unroll
          for (int j = 0; j < kAcross / 2; ++j) b[j][r] = to_tf32(b[j][r]);
        }
      }
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < kAcross; ++j) multiply_add(sum[i][j], a[i], b[j / 2] + j % 2 * 2, T{});
    }
  }

  __device__ void store(const float (&sum)[2][kAcross][4], T* result) const {
    if constexpr (std::is_same_v<T, Exact>) {
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < kAcross; ++j) {
          const int64_t row = first + threadIdx.x / 16 + 16 * i;
          const int at = column + static_cast<int>(threadIdx.x) % 16 + 16 * j;
          if (row < outputs && at < c_out) result[row * c_out + at].value = sum[i / 4][j][i % 4];
        }
    } else {
      store_fragments(sum, result);
    }
  }

  __device__ void store_fragments(const float (&sum)[2][kAcross][4], T* result) const {
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < kAcross; ++j)
#pragma unroll
        for (int part = 0; part < 2; ++part) {
          const int64_t row = first + warp / 2 * kRowsOfWarp + 16 * i + 8 * part + lane / 4;
          const int at = column + warp % 2 * (kColumns / 2) + 8 * j + lane % 4 * 2;
          if (row >= outputs || at >= c_out) continue;
          T pair[2];
          put(pair[0], sum[i][j][2 * part]), put(pair[1], sum[i][j][2 * part + 1]);
          T* to = result + row * c_out + at;
          struct alignas(2 * sizeof(T)) Both {
            T value[2];
          };
          if (c_out % 2 == 0) *reinterpret_cast<Both*>(to) = Both{{pair[0], pair[1]}};
          else {
            to[0] = pair[0];
            if (at + 1 < c_out) to[1] = pair[1];
          }
        }
  }
};

}  // namespace
}  // namespace deep3dmap::cuda

// Parts of the sparse ops shared by CPU and CUDA: coordinate keys, their hash, and pairs of rows.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

constexpr int kSparseAxisBits = 18;
constexpr int64_t kSparseAxisLimit = int64_t{1} << (kSparseAxisBits - 1);
constexpr int64_t kSparseBatchLimit = 512;
constexpr int64_t kSparseEmpty = -1;  // keys are never negative

// Pairs of rows (i, o) connected by an offset of the kernel; pairs [splits[k], splits[k + 1]) belong to offset k.
struct SparsePairs {
  const int32_t* in_rows;
  const int32_t* out_rows;
  const int64_t* splits;  // on the host
  int64_t offsets, inputs, outputs;
};

DEEP3DMAP_HD bool sparse_in_range(int64_t batch, int64_t x, int64_t y, int64_t z) {
  const int64_t span = 2 * kSparseAxisLimit;
  return (static_cast<uint64_t>(batch) < static_cast<uint64_t>(kSparseBatchLimit)) &
         (static_cast<uint64_t>(x + kSparseAxisLimit) < static_cast<uint64_t>(span)) &
         (static_cast<uint64_t>(y + kSparseAxisLimit) < static_cast<uint64_t>(span)) &
         (static_cast<uint64_t>(z + kSparseAxisLimit) < static_cast<uint64_t>(span));
}

// Key of a row in range; the key of (row + offset) is the key of the row plus `sparse_key_step` of the offset. For rows out of
// range the key is meaningless, but the unsigned arithmetic is well defined.
DEEP3DMAP_HD int64_t sparse_key(int64_t batch, int64_t x, int64_t y, int64_t z) {
  const uint64_t limit = static_cast<uint64_t>(kSparseAxisLimit);
  const uint64_t upper = (static_cast<uint64_t>(batch) << kSparseAxisBits) + (static_cast<uint64_t>(x) + limit);
  const uint64_t middle = (upper << kSparseAxisBits) + (static_cast<uint64_t>(y) + limit);
  return static_cast<int64_t>((middle << kSparseAxisBits) + (static_cast<uint64_t>(z) + limit));
}

// An offset of at least the length of an axis leaves the range from any start, so larger offsets can be clamped.
DEEP3DMAP_HD int64_t sparse_stride(int64_t offset) {
  const int64_t span = 2 * kSparseAxisLimit;
  return offset < -span ? -span : (offset > span ? span : offset);
}

DEEP3DMAP_HD int64_t sparse_key_step(int64_t x, int64_t y, int64_t z) {
  const int64_t side = int64_t{1} << kSparseAxisBits;
  return (sparse_stride(x) * side + sparse_stride(y)) * side + sparse_stride(z);
}

// The upper bits of the product are well mixed; a table with 2^bits slots uses these.
DEEP3DMAP_HD uint64_t sparse_hash(int64_t key) { return static_cast<uint64_t>(key) * 0x9E3779B97F4A7C15ull; }

}  // namespace deep3dmap

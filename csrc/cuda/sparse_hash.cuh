// Hash table of sparse coordinates on the device, with one thread per row or query.
#pragma once

#include "cuda/check.cuh"
#include "kernels/sparse.h"

namespace deep3dmap::cuda {
namespace {

using Word = unsigned long long;

// keys[i] and rows[i] belong together. Both are initialised to all one bits: an empty key and the largest row.
struct Table {
  Word* keys;
  unsigned* rows;
  int bits;
};

__device__ inline uint64_t next(const Table& table, uint64_t place) { return (place + 1) & ((uint64_t{1} << table.bits) - 1); }

// For equal coordinates the first row is kept, regardless of thread order. Rows out of range are skipped and, if `report` is set,
// reported.
__global__ void insert_rows(const int32_t* coordinates, int64_t count, Table table, unsigned long long* report) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; row < count; row += stride) {
    const int32_t* c = coordinates + 4 * row;
    if (!sparse_in_range(c[0], c[1], c[2], c[3])) {
      if (report) atomicOr(report, 1ull);
      continue;
    }
    const int64_t key = sparse_key(c[0], c[1], c[2], c[3]);
    uint64_t place = sparse_hash(key) >> (64 - table.bits);
    while (true) {
      const Word held = atomicCAS(table.keys + place, static_cast<Word>(kSparseEmpty), static_cast<Word>(key));
      if (held == static_cast<Word>(kSparseEmpty) || held == static_cast<Word>(key)) break;
      place = next(table, place);
    }
    atomicMin(table.rows + place, static_cast<unsigned>(row));
  }
}

__device__ inline int64_t find(const Table& table, int64_t batch, int64_t x, int64_t y, int64_t z) {
  if (!sparse_in_range(batch, x, y, z)) return -1;
  const int64_t key = sparse_key(batch, x, y, z);
  uint64_t place = sparse_hash(key) >> (64 - table.bits);
  while (table.keys[place] != static_cast<Word>(kSparseEmpty)) {
    if (table.keys[place] == static_cast<Word>(key)) return table.rows[place];
    place = next(table, place);
  }
  return -1;
}

inline int bits_for(int64_t count) {
  if (count > INT32_MAX) throw std::runtime_error("sparse: more rows than an int32 can count");
  int bits = 1;
  while ((int64_t{1} << bits) < 2 * count) ++bits;
  return bits;
}

}  // namespace
}  // namespace deep3dmap::cuda

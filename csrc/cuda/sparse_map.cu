// Hash look-up of sparse coordinates: one thread for each row or query.
#include "cuda/sparse.h"
#include "cuda/sparse_scratch.cuh"

namespace deep3dmap::cuda {
namespace {

using Word = unsigned long long;

// Keys and rows of equal place belong together; both are filled with ones, which is an empty key and the largest row.
struct Table {
  Word* keys;
  unsigned* rows;
  int bits;
};

__device__ uint64_t next(const Table& table, uint64_t place) { return (place + 1) & ((uint64_t{1} << table.bits) - 1); }

// Of equal coordinates the first row stays, in whatever order threads run.
__global__ void insert_rows(const int32_t* coordinates, int64_t count, Table table) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; row < count; row += stride) {
    const int32_t* c = coordinates + 4 * row;
    if (!sparse_in_range(c[0], c[1], c[2], c[3])) continue;
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

__device__ int64_t find(const Table& table, int64_t batch, int64_t x, int64_t y, int64_t z) {
  if (!sparse_in_range(batch, x, y, z)) return -1;
  const int64_t key = sparse_key(batch, x, y, z);
  uint64_t place = sparse_hash(key) >> (64 - table.bits);
  while (table.keys[place] != static_cast<Word>(kSparseEmpty)) {
    if (table.keys[place] == static_cast<Word>(key)) return table.rows[place];
    place = next(table, place);
  }
  return -1;
}

__global__ void find_rows(Table table, const int32_t* queries, int64_t count, int64_t* rows) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t q = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; q < count; q += stride) {
    const int32_t* c = queries + 4 * q;
    rows[q] = find(table, c[0], c[1], c[2], c[3]);
  }
}

__global__ void find_neighbours(Table table, const int32_t* outputs, int64_t output_count, const int32_t* offsets, int64_t offset_count,
                                int32_t* found) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x, total = output_count * offset_count;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total; i += stride) {
    const int32_t* c = outputs + 4 * (i % output_count);
    const int32_t* o = offsets + 3 * (i / output_count);
    found[i] = static_cast<int32_t>(find(table, c[0], int64_t{c[1]} + o[0], int64_t{c[2]} + o[1], int64_t{c[3]} + o[2]));
  }
}

// The memory of a table and its filling.
class Rows {
 public:
  Rows(const int32_t* coordinates, int64_t count, cudaStream_t stream)
      : bits_(bits_for(count)), keys_(int64_t{1} << bits_, stream), rows_(int64_t{1} << bits_, stream) {
    keys_.fill(0xff, int64_t{1} << bits_);
    rows_.fill(0xff, int64_t{1} << bits_);
    if (count == 0) return;
    insert_rows<<<blocks_for(count), kThreads, 0, stream>>>(coordinates, count, table());
    check_launch("sparse: hash table");
  }

  Table table() const { return {keys_.data(), rows_.data(), bits_}; }

 private:
  static int bits_for(int64_t count) {
    if (count > INT32_MAX) throw std::runtime_error("sparse: more rows than an int32 can count");
    int bits = 1;
    while ((int64_t{1} << bits) < 2 * count) ++bits;
    return bits;
  }

  int bits_;
  Scratch<Word> keys_;
  Scratch<unsigned> rows_;
};

// One block for each offset: threads take neighbouring outputs, so pairs keep their order.
__global__ void count_pairs(const int32_t* table, int64_t outputs, int64_t* counts) {
  int64_t count = 0;
  for (int64_t start = 0; start < outputs; start += blockDim.x) {
    const int64_t o = start + threadIdx.x;
    count += __syncthreads_count(o < outputs && table[blockIdx.x * outputs + o] >= 0);
  }
  if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

__global__ void write_pairs(const int32_t* table, int64_t outputs, const int64_t* splits, int32_t* in_rows, int32_t* out_rows) {
  constexpr int kWarp = 32;
  __shared__ int of_warp[kWarp];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  int64_t place = splits[blockIdx.x];
  for (int64_t start = 0; start < outputs; start += blockDim.x) {
    const int64_t o = start + threadIdx.x;
    const int32_t row = o < outputs ? table[blockIdx.x * outputs + o] : -1;
    const unsigned present = __ballot_sync(0xffffffffu, row >= 0);
    if (lane == 0) of_warp[warp] = __popc(present);
    __syncthreads();
    int before = __popc(present & ((1u << lane) - 1)), all = 0;
    for (int w = 0; w < warps; ++w) {
      if (w < warp) before += of_warp[w];
      all += of_warp[w];
    }
    if (row >= 0) in_rows[place + before] = row, out_rows[place + before] = static_cast<int32_t>(o);
    place += all;
    __syncthreads();
  }
}

constexpr int kPairThreads = 1024;

}  // namespace

void sparse_lookup(const int32_t* coordinates, int64_t count, const int32_t* queries, int64_t query_count, int64_t* rows,
                   uint64_t handle) {
  if (query_count == 0) return;
  const cudaStream_t stream = as_stream(handle);
  const Rows known(coordinates, count, stream);
  find_rows<<<blocks_for(query_count), kThreads, 0, stream>>>(known.table(), queries, query_count, rows);
  check_launch("sparse_lookup");
}

void sparse_neighbours(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count, const int32_t* offsets,
                       int64_t offset_count, int32_t* found, uint64_t handle) {
  if (output_count == 0 || offset_count == 0) return;
  const cudaStream_t stream = as_stream(handle);
  const Rows known(inputs, input_count, stream);
  const unsigned blocks = blocks_for(output_count * offset_count);
  find_neighbours<<<blocks, kThreads, 0, stream>>>(known.table(), outputs, output_count, offsets, offset_count, found);
  check_launch("sparse_neighbours");
}

void sparse_pair_counts(const int32_t* table, int64_t offset_count, int64_t outputs, int64_t* counts, uint64_t handle) {
  if (offset_count == 0) return;
  count_pairs<<<static_cast<unsigned>(offset_count), kPairThreads, 0, as_stream(handle)>>>(table, outputs, counts);
  check_launch("sparse_pair_counts");
}

void sparse_pairs(const int32_t* table, int64_t outputs, const int64_t* splits, int64_t offset_count, int32_t* in_rows,
                  int32_t* out_rows, uint64_t handle) {
  if (offset_count == 0 || splits[offset_count] == 0) return;
  const cudaStream_t stream = as_stream(handle);
  Scratch<int64_t> starts(offset_count + 1, stream);
  starts.copy_from(splits, offset_count + 1);
  write_pairs<<<static_cast<unsigned>(offset_count), kPairThreads, 0, stream>>>(table, outputs, starts.data(), in_rows, out_rows);
  check_launch("sparse_pairs");
}

}  // namespace deep3dmap::cuda

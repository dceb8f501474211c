// Hash look-up of sparse coordinates, one thread per query.
#include "cuda/sparse.h"
#include "cuda/sparse_hash.cuh"
#include "cuda/sparse_scratch.cuh"

namespace deep3dmap::cuda {
namespace {

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

// Allocates and fills a hash table.
class Rows {
 public:
  Rows(const int32_t* coordinates, int64_t count, cudaStream_t stream)
      : bits_(bits_for(count)), keys_(int64_t{1} << bits_, stream), rows_(int64_t{1} << bits_, stream) {
    keys_.fill(0xff, int64_t{1} << bits_);
    rows_.fill(0xff, int64_t{1} << bits_);
    if (count == 0) return;
    insert_rows<<<blocks_for(count), kThreads, 0, stream>>>(coordinates, count, table(), nullptr);
    check_launch("sparse: hash table");
  }

  Table table() const { return {keys_.data(), rows_.data(), bits_}; }

 private:
  int bits_;
  Scratch<Word> keys_;
  Scratch<unsigned> rows_;
};

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

}  // namespace deep3dmap::cuda

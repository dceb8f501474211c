// The kernel map: a table of neighbours, the number of pairs in each part, and the pairs, ordered without atomics.
#include "cuda/block_rank.cuh"
#include "cuda/sparse.h"
#include "cuda/sparse_hash.cuh"

namespace deep3dmap::cuda {
namespace {

constexpr int kScan = 1024, kOffsetsAtOnce = 128;
constexpr int kPart = static_cast<int>(kSparsePart);

// Small enough to be passed as a kernel argument, which avoids a copy.
struct Offsets {
  int64_t first;
  int32_t step[3 * kOffsetsAtOnce];
};

// One thread block per part of kPart outputs and offset.
__global__ void __launch_bounds__(kPart) find_parts(Table known, const int32_t* outputs, int64_t output_count, Offsets offsets,
                                                    int32_t* table, int64_t* counts, unsigned long long* report) {
  __shared__ int of_warp[kPart / kWarp];
  const int64_t o = static_cast<int64_t>(blockIdx.x) * kPart + threadIdx.x, k = offsets.first + blockIdx.y;
  int64_t row = -1;
  if (o < output_count) {
    const int32_t* c = outputs + 4 * o;
    const int32_t* step = offsets.step + 3 * blockIdx.y;
    if (k == 0 && !sparse_in_range(c[0], c[1], c[2], c[3])) atomicOr(report, 2ull);
    row = find(known, c[0], int64_t{c[1]} + step[0], int64_t{c[2]} + step[1], int64_t{c[3]} + step[2]);
    table[k * output_count + o] = static_cast<int32_t>(row);
  }
  int all;
  rank_in_block<kPart>(row >= 0, of_warp, all);
  if (threadIdx.x == 0) counts[k * gridDim.x + blockIdx.x] = all;
}

// A single thread block computes the exclusive prefix sums of the counts; heads: those at the offsets, followed by the total.
__global__ void __launch_bounds__(kScan) add_up(int64_t* counts, int64_t parts, int64_t offsets, int64_t* heads) {
  __shared__ int64_t sums[kScan];
  const int64_t total = parts * offsets, own = (total + kScan - 1) / kScan, start = threadIdx.x * own;
  const int64_t stop = min(start + own, total);
  int64_t sum = 0;
  for (int64_t i = start; i < stop; ++i) sum += counts[i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int distance = 1; distance < kScan; distance *= 2) {
    const int64_t more = static_cast<int>(threadIdx.x) >= distance ? sums[threadIdx.x - distance] : 0;
    __syncthreads();
    sums[threadIdx.x] += more;
    __syncthreads();
  }
  int64_t place = sums[threadIdx.x] - sum;
  for (int64_t i = start; i < stop; ++i) {
    const int64_t count = counts[i];
    counts[i] = place;
    if (i % parts == 0) heads[i / parts] = place;
    place += count;
  }
  if (threadIdx.x == kScan - 1) heads[offsets] = sums[kScan - 1];
}

__global__ void __launch_bounds__(kPart) write_parts(const int32_t* table, int64_t outputs, const int64_t* places, int64_t first,
                                                     int32_t* in_rows, int32_t* out_rows) {
  __shared__ int of_warp[kPart / kWarp];
  const int64_t o = static_cast<int64_t>(blockIdx.x) * kPart + threadIdx.x, k = first + blockIdx.y;
  const int32_t row = o < outputs ? table[k * outputs + o] : -1;
  int all;
  const int64_t place = places[k * gridDim.x + blockIdx.x] + rank_in_block<kPart>(row >= 0, of_warp, all);
  if (row >= 0) in_rows[place] = row, out_rows[place] = static_cast<int32_t>(o);
}

unsigned parts_of(int64_t outputs) { return static_cast<unsigned>((outputs + kPart - 1) / kPart); }

void fill(void* data, int byte, int64_t bytes, cudaStream_t stream) {
  if (cudaMemsetAsync(data, byte, bytes, stream) != cudaSuccess) check_launch("sparse_map");
}

}  // namespace

void sparse_map(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count, const int32_t* offsets,
                int64_t offset_count, int64_t* keys, int32_t* rows, int32_t* table, int64_t* places, int64_t* heads, uint64_t handle) {
  const cudaStream_t stream = as_stream(handle);
  fill(heads, 0, (offset_count + 2) * sizeof(int64_t), stream);
  auto* report = reinterpret_cast<unsigned long long*>(heads + offset_count + 1);
  const Table known{reinterpret_cast<Word*>(keys), reinterpret_cast<unsigned*>(rows), bits_for(input_count)};
  fill(keys, 0xff, sizeof(int64_t) << known.bits, stream);
  fill(rows, 0xff, sizeof(int32_t) << known.bits, stream);
  if (input_count > 0) insert_rows<<<blocks_for(input_count), kThreads, 0, stream>>>(inputs, input_count, known, report);
  check_launch("sparse_map");
  if (output_count == 0 || offset_count == 0) return;
  for (int64_t first = 0; first < offset_count; first += kOffsetsAtOnce) {
    Offsets some{first, {}};
    const int64_t count = std::min<int64_t>(kOffsetsAtOnce, offset_count - first);
    std::copy(offsets + 3 * first, offsets + 3 * (first + count), some.step);
    const dim3 blocks(parts_of(output_count), static_cast<unsigned>(count));
    find_parts<<<blocks, kPart, 0, stream>>>(known, outputs, output_count, some, table, places, report);
    check_launch("sparse_map");
  }
  add_up<<<1, kScan, 0, stream>>>(places, parts_of(output_count), offset_count, heads);
  check_launch("sparse_map");
}

void sparse_map_pairs(const int32_t* table, int64_t outputs, int64_t offset_count, const int64_t* places, int32_t* in_rows,
                      int32_t* out_rows, uint64_t handle) {
  if (outputs == 0) return;
  for (int64_t first = 0; first < offset_count; first += kOffsetsAtOnce) {
    const dim3 blocks(parts_of(outputs), static_cast<unsigned>(std::min<int64_t>(kOffsetsAtOnce, offset_count - first)));
    write_parts<<<blocks, kPart, 0, as_stream(handle)>>>(table, outputs, places, first, in_rows, out_rows);
    check_launch("sparse_map_pairs");
  }
}

}  // namespace deep3dmap::cuda

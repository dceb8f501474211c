// Implicit matrix product: a thread block owns 128 output rows and up to 128 channels and iterates over the offsets of the
// kernel. The input rows of an offset are gathered into shared memory while the tensor cores process the previous ones.
#include "cuda/check.cuh"
#include "cuda/sparse_splits.cuh"
#include "cuda/sparse_tensor_tile.cuh"

namespace deep3dmap::cuda {
namespace {

// One thread per pair; y is the offset.
__global__ void enter_rows(const int32_t* in_rows, const int32_t* out_rows, Splits splits, int64_t outputs, int32_t* table) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x, stop = splits.pairs[blockIdx.y + 1];
  int32_t* to = table + (splits.first + blockIdx.y) * outputs;
  for (int64_t p = splits.pairs[blockIdx.y] + static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; p < stop; p += stride)
    to[out_rows[p]] = in_rows[p];
}

template <typename T, int kColumns, int kPieces>
__global__ void __launch_bounds__(kBlock, 2) convolve(const int32_t* table, int offsets, int64_t outputs, const T* features,
                                                   const T* filters, int c_in, int c_out, T* result) {
  using Own = Tile<T, kColumns, kPieces>;
  extern __shared__ __align__(128) unsigned char memory[];
  int* present = reinterpret_cast<int*>(memory + kStages * Own::kStage);
  __shared__ int count;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kRows;
  // Offsets without pairs for any of the rows are skipped.
  for (int k = threadIdx.x / kWarp; k < offsets; k += kBlock / kWarp) {
    bool any = false;
    for (int64_t row = first + threadIdx.x % kWarp; row < min(first + kRows, outputs); row += kWarp)
      any |= table[k * outputs + row] >= 0;
    any = __any_sync(0xffffffffu, any);
    if (threadIdx.x % kWarp == 0) present[k] = any;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    int found = 0;
    for (int k = 0; k < offsets; ++k)
      if (present[k]) present[found++] = k;
    count = found;
  }
  __syncthreads();
  const int parts = (c_in + Own::kDepth - 1) / Own::kDepth, steps = count * parts;
  Own tile{table, outputs, first, features, filters, c_in, c_out, static_cast<int>(blockIdx.y) * kColumns, parts, present, memory, {}};
  float sum[2][Own::kAcross][4] = {};
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < steps) tile.fetch(step), tile.copy(step);
    commit_copies();
  }
  if (kStages - 1 < steps) tile.fetch(kStages - 1);
  for (int step = 0; step < steps; ++step) {
    wait_copies<kStages - 2>();
    // All copies of this step have completed, and all threads have finished with the stage that is overwritten next.
    __syncthreads();
    const int next = step + kStages - 1;
    if (next < steps) tile.copy(next);
    commit_copies();
    if (next + 1 < steps) tile.fetch(next + 1);
    tile.multiply(step, sum);
  }
  tile.store(sum, result);
}

template <typename T, int kColumns, int kPieces>
void launch(const SparsePairs& pairs, const void* features, const void* filters, int64_t c_in, int64_t c_out, const int32_t* table,
            void* result, cudaStream_t stream) {
  const auto kernel = convolve<T, kColumns, kPieces>;
  const int bytes = kStages * Tile<T, kColumns, kPieces>::kStage + static_cast<int>(pairs.offsets * sizeof(int));
  if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) != cudaSuccess) check_launch("sparse_tensor");
  const dim3 blocks(static_cast<unsigned>((pairs.outputs + kRows - 1) / kRows), static_cast<unsigned>((c_out + kColumns - 1) / kColumns));
  kernel<<<blocks, kBlock, bytes, stream>>>(table, static_cast<int>(pairs.offsets), pairs.outputs, static_cast<const T*>(features),
                                            static_cast<const T*>(filters), static_cast<int>(c_in), static_cast<int>(c_out),
                                            static_cast<T*>(result));
  check_launch("sparse_tensor_forward");
}

template <typename T, int kPieces, typename... Rest>
void launch_columns(const SparsePairs& pairs, const void* features, const void* filters, int64_t c_in, int64_t c_out, Rest... rest) {
  if (c_out <= 32) launch<T, 32, kPieces>(pairs, features, filters, c_in, c_out, rest...);
  else if (c_out <= 64) launch<T, 64, kPieces>(pairs, features, filters, c_in, c_out, rest...);
  else launch<T, 128, kPieces>(pairs, features, filters, c_in, c_out, rest...);
}

template <typename T, typename... Rest>
void launch_type(const SparsePairs& pairs, const void* features, const void* filters, int64_t c_in, int64_t c_out, Rest... rest) {
  if (c_in * sizeof(T) <= 64) launch_columns<T, 4>(pairs, features, filters, c_in, c_out, rest...);
  else launch_columns<T, 8>(pairs, features, filters, c_in, c_out, rest...);
}

}  // namespace

void sparse_tensor_forward(const SparsePairs& pairs, Numbers numbers, const void* features, const void* filters, int64_t c_in,
                           int64_t c_out, int32_t* table, void* result, uint64_t handle) {
  if (pairs.outputs == 0 || c_out == 0) return;
  const cudaStream_t stream = as_stream(handle);
  if (cudaMemsetAsync(table, 0xff, pairs.offsets * pairs.outputs * sizeof(int32_t), stream) != cudaSuccess) check_launch("sparse_tensor");
  for (int64_t first = 0; first < pairs.offsets; first += kOffsetsAtOnce) {
    const Splits splits = splits_from(pairs, first, 1, 0);
    const dim3 blocks(blocks_for(pairs.outputs), static_cast<unsigned>(splits.count));
    enter_rows<<<blocks, kThreads, 0, stream>>>(pairs.in_rows, pairs.out_rows, splits, pairs.outputs, table);
    check_launch("sparse_tensor_forward");
  }
  if (numbers == Numbers::float32) launch_type<Exact>(pairs, features, filters, c_in, c_out, table, result, stream);
  else if (numbers == Numbers::tf32) launch_type<float>(pairs, features, filters, c_in, c_out, table, result, stream);
  else if (numbers == Numbers::half) launch_type<__half>(pairs, features, filters, c_in, c_out, table, result, stream);
  else launch_type<__nv_bfloat16>(pairs, features, filters, c_in, c_out, table, result, stream);
}

}  // namespace deep3dmap::cuda

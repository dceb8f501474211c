// Wrappers of tensor-core instructions and asynchronous copies of compute capability 8.0 and later. For the layout of the
// fragments see the PTX ISA, "Matrix multiply-accumulate operation using mma instruction".
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace deep3dmap::cuda {

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define DEEP3DMAP_SM80(...) asm volatile(__VA_ARGS__)
#else
// Also compiled for older devices, but never launched there.
#define DEEP3DMAP_SM80(...) __trap()
#endif

__device__ __forceinline__ unsigned shared_address(const void* place) { return static_cast<unsigned>(__cvta_generic_to_shared(place)); }

// Starts copying 16 bytes to shared memory, or zeros if `there` is false; both addresses must be aligned to 16 bytes.
__device__ __forceinline__ void copy_async(void* to, const void* from, bool there) {
  [[maybe_unused]] const unsigned place = shared_address(to), bytes = there ? 16 : 0;
  DEEP3DMAP_SM80("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from), "r"(bytes) : "memory");
}

__device__ __forceinline__ void commit_copies() { DEEP3DMAP_SM80("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `most` of this thread's committed groups are pending.
template <int most>
__device__ __forceinline__ void wait_copies() {
  DEEP3DMAP_SM80("cp.async.wait_group %0;" ::"n"(most) : "memory");
}

// Loads four matrices of 8 rows of 16 bytes. Lane l passes row l % 8 of matrix l / 8 and receives word l % 4 of row l / 4 of each
// matrix.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
  [[maybe_unused]] const unsigned place = shared_address(row);
  DEEP3DMAP_SM80("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(place) : "memory");
}

// The same for matrices of 2-byte values, transposed.
__device__ __forceinline__ void load_transposed(uint32_t (&r)[4], const void* row) {
  [[maybe_unused]] const unsigned place = shared_address(row);
  DEEP3DMAP_SM80("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(place) : "memory");
}

// Rounds to the nearest TF32 value, ties away from zero.
__device__ __forceinline__ uint32_t to_tf32(uint32_t bits) {
  uint32_t rounded = bits;
  DEEP3DMAP_SM80("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(__uint_as_float(bits)));
  return rounded;
}

// sum (16 x 8) += a (16 x 32 bytes) times b (32 bytes x 8). The last argument only selects the type of a and b.
__device__ __forceinline__ void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t* b, float) {
  DEEP3DMAP_SM80("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t* b, __half) {
  DEEP3DMAP_SM80("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t* b, __nv_bfloat16) {
  DEEP3DMAP_SM80("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Converts a float to the type of the features.
__device__ __forceinline__ void put(float& to, float value) { to = value; }
__device__ __forceinline__ void put(__half& to, float value) { to = __float2half_rn(value); }
__device__ __forceinline__ void put(__nv_bfloat16& to, float value) { to = __float2bfloat16_rn(value); }

#undef DEEP3DMAP_SM80

}  // namespace deep3dmap::cuda

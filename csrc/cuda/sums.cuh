#pragma once

#include <cstdint>

namespace deep3dmap::cuda {

// Accumulators for additions in arbitrary thread order: floats, whose last bits depend on the order, ...
struct FloatSums {
  float* to;

  __device__ void add(int64_t at, float value) const { atomicAdd(to + at, value); }

  // Adds four consecutive values, aligned to 16 bytes, in one operation if the device supports it.
  __device__ void add4(int64_t at, const float (&value)[4]) const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};"
                 :: "l"(__cvta_generic_to_global(to + at)), "f"(value[0]), "f"(value[1]), "f"(value[2]), "f"(value[3]) : "memory");
#else
    for (int i = 0; i < 4; ++i) add(at + i, value[i]);
#endif
  }
};

// ... or integers in units of 1 / scale, whose sum does not depend on the order. deep3dmap.ops._fixed chooses the scale.
struct FixedSums {
  int64_t* to;
  const float* scale;

  __device__ void add(int64_t at, float value) const {
    atomicAdd(reinterpret_cast<unsigned long long*>(to) + at, static_cast<unsigned long long>(__float2ll_rn(value * *scale)));
  }

  __device__ void add4(int64_t at, const float (&value)[4]) const {
    for (int i = 0; i < 4; ++i) add(at + i, value[i]);
  }
};

}  // namespace deep3dmap::cuda

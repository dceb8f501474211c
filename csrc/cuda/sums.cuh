#pragma once

#include <cstdint>

namespace deep3dmap::cuda {

// Where threads add in any order: floats, whose last bits depend on it, ...
struct FloatSums {
  float* to;

  __device__ void add(int64_t at, float value) const { atomicAdd(to + at, value); }
};

// ... or whole numbers of units of 1 / scale, whose sum is the same in every order. deep3dmap.ops._fixed chooses the scale.
struct FixedSums {
  int64_t* to;
  const float* scale;

  __device__ void add(int64_t at, float value) const {
    atomicAdd(reinterpret_cast<unsigned long long*>(to) + at, static_cast<unsigned long long>(__float2ll_rn(value * *scale)));
  }
};

}  // namespace deep3dmap::cuda

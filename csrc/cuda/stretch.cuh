// Consecutive values that a thread accesses with a single load or store.
#pragma once

#include <cstdint>

namespace deep3dmap::cuda {
namespace {

template <int kWidth>
struct alignas(4 * kWidth) Stretch {
  float value[kWidth];
};

template <int kWidth>
__device__ const Stretch<kWidth>& stretch(const float* from) { return *reinterpret_cast<const Stretch<kWidth>*>(from); }

template <int kWidth>
__device__ Stretch<kWidth>& stretch(float* from) { return *reinterpret_cast<Stretch<kWidth>*>(from); }

// Returns whether an array can be accessed four values at a time.
bool aligned(const void* data) { return reinterpret_cast<uintptr_t>(data) % sizeof(Stretch<4>) == 0; }

}  // namespace
}  // namespace deep3dmap::cuda

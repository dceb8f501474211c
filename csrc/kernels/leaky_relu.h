// Bias, leaky ReLU and gain in one pass. The same linear map computes its derivatives of every order.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

template <typename T>
struct LeakyRelu {
  const T* in;    // (outer, channels, inner)
  const T* bias;  // (channels), or null
  const T* like;  // same shape as `in`; its signs select the slope. If null, the signs of in + bias do
  T* out;         // same shape
  int64_t outer, channels, inner;
  T slope, gain;
};

// The slope applies if `sign` <= 0 or NaN.
template <typename T>
DEEP3DMAP_HD T leaky(T value, T sign, T slope, T gain) {
  return (sign > T(0) ? value : value * slope) * gain;
}

}  // namespace deep3dmap

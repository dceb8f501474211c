// Bias, leaky rectifier and gain in one pass, and the linear map that its derivatives of every order are.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

template <typename T>
struct LeakyRelu {
  const T* in;    // (outer, channels, inner)
  const T* bias;  // (channels), or null
  const T* like;  // the same shape as `in`: its signs choose the slope; null: the signs of in + bias do
  T* out;         // the same shape
  int64_t outer, channels, inner;
  T slope, gain;
};

// slope applies where `sign` is not above 0, at exactly 0 too.
template <typename T>
DEEP3DMAP_HD T leaky(T value, T sign, T slope, T gain) {
  return (sign > T(0) ? value : value * slope) * gain;
}

}  // namespace deep3dmap

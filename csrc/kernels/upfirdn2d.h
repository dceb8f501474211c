// Upsample, filter and downsample images (Karras et al., CVPR 2020, appendix B): the samples read by an output along one axis.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

struct FirAxis {
  int in, out, kernel;  // samples, samples, taps
  int up, down, pad;    // pad: zeros before the first sample, negative crops
};

struct FirFilter {
  int64_t planes;
  FirAxis y, x;
};

// Consecutive samples from `first`, `up` taps apart. Taps are counted in correlation order.
struct FirTaps {
  int first, tap, count;
};

DEEP3DMAP_HD FirTaps fir_taps(const FirAxis& axis, int out) {
  // Position of the first tap in the upsampled signal.
  const int start = out * axis.down - axis.pad, end = start + axis.kernel - 1;
  const int first = start > 0 ? (start + axis.up - 1) / axis.up : 0;
  int last = end >= 0 ? end / axis.up : -1;
  if (last > axis.in - 1) last = axis.in - 1;
  return {first, first * axis.up - start, last < first ? 0 : last - first + 1};
}

}  // namespace deep3dmap

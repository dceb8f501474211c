#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/sparse.h"

namespace deep3dmap::cuda {

constexpr int64_t kOffsetsAtOnce = 128;

// Start of the pairs and segments of up to 128 offsets: small enough to be passed as a kernel argument, which avoids a copy.
struct Splits {
  int64_t first, count;  // offsets
  int64_t pairs[kOffsetsAtOnce + 1], segments[kOffsetsAtOnce + 1];
};

// Returns the splits of the offsets from `first` on; `segments` is the number of preceding segments, of `length` pairs each.
inline Splits splits_from(const SparsePairs& pairs, int64_t first, int64_t length, int64_t segments) {
  Splits found{first, std::min(kOffsetsAtOnce, pairs.offsets - first), {}, {}};
  for (int64_t k = 0; k <= found.count; ++k) {
    found.pairs[k] = pairs.splits[first + k];
    found.segments[k] = segments;
    if (k < found.count) segments += (pairs.splits[first + k + 1] - pairs.splits[first + k] + length - 1) / length;
  }
  return found;
}

}  // namespace deep3dmap::cuda

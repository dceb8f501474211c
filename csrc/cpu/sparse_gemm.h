// The inner loop of sparse convolution: a few gathered rows times a panel of a matrix, kept in registers.
//
// Each output value is one chain of multiply-adds in order of depth. The AVX2 and AVX-512 versions use FMA intrinsics
// (contraction is off in the rest of the build), so their results are bit-identical; processors without FMA round twice and
// differ in the last bits. An unfused version would halve the speed of the only kernel that is compute-bound.
#pragma once

#include <cstdint>

namespace deep3dmap::cpu {

constexpr int kGatherDepth = 128;   // floats of a row gathered at a time
constexpr int kGatherStride = 144;  // between gathered rows; not a power of two, which would map them to few cache sets
constexpr int kMaxRows = 12, kMaxVectors = 4;

// For r < rows: out[r][0 .. width) += sum over d < depth of a(r, d) * b[d * width .. (d + 1) * width).
using PanelKernel = void (*)(const float* a, const float* b, int64_t depth, float* const* out);

// Copies `width` floats of each listed row to `to`, `stride` floats apart.
using GatherKernel = void (*)(const float* from, int64_t row_size, const int32_t* rows, int64_t count, int64_t width, float* to,
                              int64_t stride);

struct PanelGemm {
  const char* name;
  int lanes, max_vectors;                       // the width of a panel is at most max_vectors vectors of `lanes` floats
  int max_rows[kMaxVectors];                    // indexed by vectors - 1
  PanelKernel by_row[kMaxVectors][kMaxRows];    // a(r, d) = a[r * kGatherStride + d]; indexed by vectors - 1, rows - 1
  PanelKernel by_depth[kMaxVectors][kMaxRows];  // a(r, d) = a[d * kGatherStride + r]
  GatherKernel gather;
};

// Returns the best implementation for this processor, or the one selected with `use_panel_gemm`.
const PanelGemm& panel_gemm();

// Selects plain, avx2, avx512 or best for subsequent calls (for tests); returns false if the processor does not support it.
bool use_panel_gemm(const char* name);

}  // namespace deep3dmap::cpu

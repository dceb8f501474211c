// The inner loop of sparse convolution: a few gathered rows times a panel of a matrix, kept in registers.
//
// Each number of the output is one chain of multiply-adds in the order of depth. AVX2 and AVX-512 fuse them, by intrinsics (the rest
// of the build leaves contraction off), so their results are equal bit for bit; processors without FMA round twice and differ from
// them in the last bits. An unfused version would halve the speed of the one kernel that is bound by arithmetic.
#pragma once

#include <cstdint>

namespace deep3dmap::cpu {

constexpr int kGatherDepth = 128;   // floats of a row that are gathered at a time
constexpr int kGatherStride = 144;  // between gathered rows; not a power of two, which would crowd them into few cache sets
constexpr int kMaxRows = 12, kMaxVectors = 4;

// For r < rows: out[r][0 .. width) += sum over d < depth of a(r, d) * b[d * width .. (d + 1) * width).
using PanelKernel = void (*)(const float* a, const float* b, int64_t depth, float* const* out);

// Copies `width` floats of each of the rows listed to `to`, `stride` floats apart.
using GatherKernel = void (*)(const float* from, int64_t row_size, const int32_t* rows, int64_t count, int64_t width, float* to,
                              int64_t stride);

struct PanelGemm {
  const char* name;
  int lanes, max_vectors;                       // a panel is up to max_vectors vectors of `lanes` floats wide
  int max_rows[kMaxVectors];                    // by vectors - 1
  PanelKernel by_row[kMaxVectors][kMaxRows];    // a(r, d) = a[r * kGatherStride + d]; by vectors - 1, rows - 1
  PanelKernel by_depth[kMaxVectors][kMaxRows];  // a(r, d) = a[d * kGatherStride + r]
  GatherKernel gather;
};

// The best one for this processor, unless `use_panel_gemm` named another.
const PanelGemm& panel_gemm();

// Takes plain, avx2, avx512 or best for calls to come, which tests need; false where the processor has no such thing.
bool use_panel_gemm(const char* name);

}  // namespace deep3dmap::cpu

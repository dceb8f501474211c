#include "cpu/sparse_gemm.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#if defined(__x86_64__) && defined(__GNUC__)
#define DEEP3DMAP_X86 1
#include <immintrin.h>
#endif

namespace deep3dmap::cpu {
namespace {

// Row and depth strides of `a` as constants, so that one register addresses all rows.
struct ByRow {
  static constexpr int row = kGatherStride, depth = 1;
};
struct ByDepth {
  static constexpr int row = 1, depth = kGatherStride;
};

template <class A, int V, int R>
void plain_panel(const float* a, const float* b, int64_t depth, float* const* out) {
  constexpr int kLanes = 8 * V;
  float sum[R][kLanes];
  for (int r = 0; r < R; ++r) std::memcpy(sum[r], out[r], sizeof sum[r]);
  for (int64_t d = 0; d < depth; ++d, b += kLanes)
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) sum[r][i] += a[r * A::row + d * A::depth] * b[i];
  for (int r = 0; r < R; ++r) std::memcpy(out[r], sum[r], sizeof sum[r]);
}

void plain_gather(const float* from, int64_t row_size, const int32_t* rows, int64_t count, int64_t width, float* to, int64_t stride) {
  for (int64_t r = 0; r < count; ++r) std::memcpy(to + r * stride, from + rows[r] * row_size, width * sizeof(float));
}

struct Plain {
  template <class A, int V, int R>
  static constexpr PanelKernel kernel() { return plain_panel<A, V, R>; }
};

#if defined(DEEP3DMAP_X86)
template <class A, int V, int R>
__attribute__((target("avx2,fma"))) void avx2_panel(const float* a, const float* b, int64_t depth, float* const* out) {
  __m256 sum[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) sum[r][v] = _mm256_loadu_ps(out[r] + 8 * v);
  for (int64_t d = 0; d < depth; ++d, a += A::depth, b += 8 * V) {
    __m256 row[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) row[v] = _mm256_loadu_ps(b + 8 * v);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m256 factor = _mm256_broadcast_ss(a + r * A::row);
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) sum[r][v] = _mm256_fmadd_ps(factor, row[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) _mm256_storeu_ps(out[r] + 8 * v, sum[r][v]);
}

template <class A, int V, int R>
__attribute__((target("avx512f"))) void avx512_panel(const float* a, const float* b, int64_t depth, float* const* out) {
  __m512 sum[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) sum[r][v] = _mm512_loadu_ps(out[r] + 16 * v);
  for (int64_t d = 0; d < depth; ++d, a += A::depth, b += 16 * V) {
    __m512 row[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) row[v] = _mm512_loadu_ps(b + 16 * v);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512 factor = _mm512_set1_ps(a[r * A::row]);
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) sum[r][v] = _mm512_fmadd_ps(factor, row[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) _mm512_storeu_ps(out[r] + 16 * v, sum[r][v]);
}

__attribute__((target("avx2"))) void avx2_gather(const float* from, int64_t row_size, const int32_t* rows, int64_t count, int64_t width,
                                                 float* to, int64_t stride) {
  for (int64_t r = 0; r < count; ++r, to += stride) {
    const float* row = from + rows[r] * row_size;
    int64_t i = 0;
    for (; i + 8 <= width; i += 8) _mm256_storeu_ps(to + i, _mm256_loadu_ps(row + i));
    for (; i < width; ++i) to[i] = row[i];
  }
}

__attribute__((target("avx512f"))) void avx512_gather(const float* from, int64_t row_size, const int32_t* rows, int64_t count,
                                                      int64_t width, float* to, int64_t stride) {
  const int64_t whole = width & ~int64_t{15};
  const __mmask16 rest = static_cast<__mmask16>((1u << (width - whole)) - 1);
  for (int64_t r = 0; r < count; ++r, to += stride) {
    const float* row = from + rows[r] * row_size;
    for (int64_t i = 0; i < whole; i += 16) _mm512_storeu_ps(to + i, _mm512_loadu_ps(row + i));
    if (rest) _mm512_mask_storeu_ps(to + whole, rest, _mm512_maskz_loadu_ps(rest, row + whole));
  }
}

struct Avx2 {
  template <class A, int V, int R>
  static constexpr PanelKernel kernel() { return avx2_panel<A, V, R>; }
};

struct Avx512 {
  template <class A, int V, int R>
  static constexpr PanelKernel kernel() { return avx512_panel<A, V, R>; }
};
#endif

template <class Path, int V, int... R>
void fill_vectors(PanelGemm& gemm, std::integer_sequence<int, R...>) {
  gemm.max_rows[V - 1] = sizeof...(R);
  ((gemm.by_row[V - 1][R] = Path::template kernel<ByRow, V, R + 1>()), ...);
  ((gemm.by_depth[V - 1][R] = Path::template kernel<ByDepth, V, R + 1>()), ...);
}

template <class Path, int... Rows, int... V>
void fill(PanelGemm& gemm, std::integer_sequence<int, V...>) {
  (fill_vectors<Path, V + 1>(gemm, std::make_integer_sequence<int, Rows>()), ...);
}

// `Rows`: number of rows that fit into the registers together with a row of the panel, for panels of 1, 2, ... vectors.
template <class Path, int... Rows>
PanelGemm make(const char* name, int lanes, GatherKernel gather) {
  PanelGemm gemm{};
  gemm.name = name, gemm.lanes = lanes, gemm.max_vectors = sizeof...(Rows), gemm.gather = gather;
  fill<Path, Rows...>(gemm, std::make_integer_sequence<int, sizeof...(Rows)>());
  return gemm;
}

const PanelGemm* plain() {
  static const PanelGemm gemm = make<Plain, 4>("plain", 8, plain_gather);
  return &gemm;
}

const PanelGemm* avx2() {
#if defined(DEEP3DMAP_X86)
  static const PanelGemm gemm = make<Avx2, 12, 6>("avx2", 8, avx2_gather);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &gemm;
#endif
  return nullptr;
}

const PanelGemm* avx512() {
#if defined(DEEP3DMAP_X86)
  static const PanelGemm gemm = make<Avx512, 12, 12, 8, 6>("avx512", 16, avx512_gather);
  if (__builtin_cpu_supports("avx512f")) return &gemm;
#endif
  return nullptr;
}

const PanelGemm* best() {
  if (const PanelGemm* gemm = avx512()) return gemm;
  if (const PanelGemm* gemm = avx2()) return gemm;
  return plain();
}

std::atomic<const PanelGemm*> chosen{nullptr};

}  // namespace

const PanelGemm& panel_gemm() {
  const PanelGemm* gemm = chosen.load();
  if (!gemm) chosen.store(gemm = best());
  return *gemm;
}

bool use_panel_gemm(const char* name) {
  const PanelGemm* gemm = nullptr;
  if (!std::strcmp(name, "plain")) gemm = plain();
  if (!std::strcmp(name, "avx2")) gemm = avx2();
  if (!std::strcmp(name, "avx512")) gemm = avx512();
  if (!std::strcmp(name, "best")) gemm = best();
  if (gemm) chosen.store(gemm);
  return gemm != nullptr;
}

}  // namespace deep3dmap::cpu

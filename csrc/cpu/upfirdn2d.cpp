#include "cpu/upfirdn2d.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace deep3dmap::cpu {
namespace {

// A separable part of the kernel, column times row, both in correlation order.
template <typename T>
struct Factor {
  std::vector<T> column, row;
};

// Returns one factor if the kernel is separable, as binomial kernels are, otherwise one per row.
template <typename T>
std::vector<Factor<T>> factorise(const FirFilter& filter, const T* kernel) {
  const int height = filter.y.kernel, width = filter.x.kernel, size = height * width;
  std::vector<T> flipped(kernel, kernel + size);
  std::reverse(flipped.begin(), flipped.end());
  const auto magnitude = [](T a, T b) { return std::abs(a) < std::abs(b); };
  const int pivot = static_cast<int>(std::max_element(flipped.begin(), flipped.end(), magnitude) - flipped.begin());
  const T largest = flipped[pivot];
  Factor<T> product{std::vector<T>(height), std::vector<T>(width)};
  for (int y = 0; y < height; ++y) product.column[y] = flipped[y * width + pivot % width];
  for (int x = 0; x < width; ++x) product.row[x] = largest != T(0) ? flipped[pivot / width * width + x] / largest : T(0);
  T rest = 0;
  for (int i = 0; i < size; ++i) rest = std::max(rest, std::abs(flipped[i] - product.column[i / width] * product.row[i % width]));
  if (rest <= 2 * std::numeric_limits<T>::epsilon() * std::abs(largest)) return {product};
  std::vector<Factor<T>> rows;
  for (int y = 0; y < height; ++y) {
    rows.push_back({std::vector<T>(height), std::vector<T>(flipped.begin() + y * width, flipped.begin() + (y + 1) * width)});
    rows.back().column[y] = 1;
  }
  return rows;
}

// out[i] (+)= sum over k < N of weight[k] * from[k * step + i].
template <int N, typename T>
DEEP3DMAP_HD void add_weighted(const T* __restrict from, int64_t step, const T* weight, T* __restrict out, int count, bool add) {
  T w[N];
  for (int k = 0; k < N; ++k) w[k] = weight[k];
  if (add) {
    for (int i = 0; i < count; ++i) {
      T sum = out[i];
      for (int k = 0; k < N; ++k) sum += w[k] * from[k * step + i];
      out[i] = sum;
    }
  } else {
    for (int i = 0; i < count; ++i) {
      T sum = w[0] * from[i];
      for (int k = 1; k < N; ++k) sum += w[k] * from[k * step + i];
      out[i] = sum;
    }
  }
}

// The same for any number of taps, in groups of four, two and one.
template <typename T>
DEEP3DMAP_HD void add_taps(const T* from, int64_t step, const T* weight, int taps, T* out, int count, bool add) {
  while (taps > 0) {
    const int now = taps >= 4 ? 4 : taps >= 2 ? 2 : 1;
    if (now == 4) add_weighted<4>(from, step, weight, out, count, add);
    if (now == 2) add_weighted<2>(from, step, weight, out, count, add);
    if (now == 1) add_weighted<1>(from, step, weight, out, count, add);
    from += now * step, weight += now, taps -= now, add = true;
  }
}

template <typename T>
struct Scratch {
  std::vector<T> weights;  // of the taps that fall on samples, along y
  std::vector<T> sums;     // over y, for a row of samples
  std::vector<T> line;     // the sums with zeros inserted and padded
  std::vector<T> dense;    // the output before downsampling
};

template <typename T>
DEEP3DMAP_HD void filter_plane(const FirFilter& filter, const std::vector<Factor<T>>& factors, const T* in, T* out, Scratch<T>& scratch) {
  const FirAxis &y = filter.y, &x = filter.x;
  const int full = (x.out - 1) * x.down + 1, length = full + x.kernel - 1;
  // Range of samples on the line, and the position of the first.
  const int from = x.pad < 0 ? (-x.pad + x.up - 1) / x.up : 0, place = from * x.up + x.pad;
  const int count = std::max(0, std::min(x.in - from, place < length ? (length - 1 - place) / x.up + 1 : 0));
  T* sums = x.up == 1 ? scratch.line.data() + place : scratch.sums.data();
  for (int row = 0; row < y.out; ++row, out += x.out) {
    const FirTaps taps = fir_taps(y, row);
    if (taps.count == 0 || count == 0) {
      std::fill_n(out, x.out, T(0));
      continue;
    }
    T* dense = x.down == 1 ? out : scratch.dense.data();
    for (size_t f = 0; f < factors.size(); ++f) {
      for (int i = 0; i < taps.count; ++i) scratch.weights[i] = factors[f].column[taps.tap + i * y.up];
      add_taps(in + static_cast<int64_t>(taps.first) * x.in + from, x.in, scratch.weights.data(), taps.count, sums, count, false);
      if (x.up != 1)
        for (int i = 0; i < count; ++i) scratch.line[place + i * x.up] = sums[i];
      add_taps(scratch.line.data(), 1, factors[f].row.data(), x.kernel, dense, full, f > 0);
    }
    if (x.down != 1)
      for (int i = 0; i < x.out; ++i) out[i] = dense[i * x.down];
  }
}

DEEP3DMAP_DISPATCH void filter_one(const FirFilter& filter, const std::vector<Factor<float>>& factors, const float* in, float* out,
                                   Scratch<float>& scratch) {
  filter_plane(filter, factors, in, out, scratch);
}

DEEP3DMAP_DISPATCH void filter_one(const FirFilter& filter, const std::vector<Factor<double>>& factors, const double* in, double* out,
                                   Scratch<double>& scratch) {
  filter_plane(filter, factors, in, out, scratch);
}

template <typename T>
void filter_planes(const FirFilter& filter, const T* in, const T* kernel, T* out, int threads) {
  const std::vector<Factor<T>> factors = factorise(filter, kernel);
  const int64_t from = static_cast<int64_t>(filter.y.in) * filter.x.in, to = static_cast<int64_t>(filter.y.out) * filter.x.out;
  const size_t full = (filter.x.out - 1) * filter.x.down + 1;
  // Allocated here, because an exception that escapes a parallel region terminates the process.
  std::vector<Scratch<T>> scratch(threads, {std::vector<T>(filter.y.kernel), std::vector<T>(filter.x.in),
                                            std::vector<T>(full + filter.x.kernel - 1), std::vector<T>(full)});
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int part = 0; part < threads; ++part) {
    const int64_t end = filter.planes * (part + 1) / threads;
    for (int64_t plane = filter.planes * part / threads; plane < end; ++plane)
      filter_one(filter, factors, in + plane * from, out + plane * to, scratch[part]);
  }
}

}  // namespace

void upfirdn2d(const FirFilter& filter, const float* in, const float* kernel, float* out, int threads) {
  filter_planes(filter, in, kernel, out, threads);
}

void upfirdn2d(const FirFilter& filter, const double* in, const double* kernel, double* out, int threads) {
  filter_planes(filter, in, kernel, out, threads);
}

}  // namespace deep3dmap::cpu

// Sparse convolution as gather and matrix product over tiles of output rows: the sums of a tile are owned by one thread and stay
// in the cache while all offsets are added to them.
#include <algorithm>
#include <atomic>
#include <new>
#include <stdexcept>
#include <vector>

#include "cpu/sparse.h"
#include "cpu/sparse_gemm.h"

namespace deep3dmap::cpu {
namespace {

constexpr int64_t kTileFloats = 16384;     // sums of a tile: 64 KiB
constexpr int64_t kPairsAtOnce = 64;       // in the weight gradient: both gathered sides fit into the L1 cache
constexpr int64_t kSegmentPairs = 8192;    // summed separately in the weight gradient
constexpr int64_t kMostSegments = 512;

// An uninitialised array of floats aligned to a cache line, so that no vector crosses two lines.
class Buffer {
 public:
  explicit Buffer(int64_t size) : floats_(static_cast<float*>(::operator new(size * sizeof(float) + 1, std::align_val_t{64}))) {}
  ~Buffer() { ::operator delete(floats_, std::align_val_t{64}); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* data() const { return floats_; }

 private:
  float* floats_;
};

// One buffer for each thread of a parallel region. Allocated before it, because an exception that escapes it terminates the
// process.
class BufferEach {
 public:
  BufferEach(int64_t size, int threads) : size_((size + 15) / 16 * 16), all_(size_ * threads) {}
  // Returns the buffer of the calling thread. Call once per thread.
  float* take() { return all_.data() + size_ * next_++; }

 private:
  int64_t size_;
  Buffer all_;
  std::atomic<int> next_{0};
};

// Division of a matrix with `width` columns into panels of equal width; the last one is zero-padded.
struct Panels {
  int64_t width, panel, count;
  int vectors, rows;

  Panels(const PanelGemm& gemm, int64_t columns) : width(columns) {
    const int64_t all = (columns + gemm.lanes - 1) / gemm.lanes;
    count = (all + gemm.max_vectors - 1) / gemm.max_vectors;
    vectors = static_cast<int>((all + count - 1) / count);
    panel = static_cast<int64_t>(vectors) * gemm.lanes;
    rows = gemm.max_rows[vectors - 1];
  }

  int64_t padded() const { return panel * count; }
  int64_t used(int64_t index) const { return std::min(panel, width - index * panel); }
};

// Packs the matrix panel by panel, each (depth, panel).
void pack(const Panels& panels, const float* matrix, int64_t depth, float* packed) {
  for (int64_t j = 0; j < panels.count; ++j)
    for (int64_t d = 0; d < depth; ++d, packed += panels.panel) {
      const float* row = matrix + d * panels.width + j * panels.panel;
      std::fill(std::copy(row, row + panels.used(j), packed), packed + panels.panel, 0.f);
    }
}

struct Order {
  bool inside, ascending;
};

DEEP3DMAP_DISPATCH Order inspect(const int32_t* in_rows, const int32_t* out_rows, int64_t count, uint32_t inputs, uint32_t outputs) {
  uint32_t outside = 0, falls = 0;
  for (int64_t p = 0; p < count; ++p) {
    outside |= static_cast<uint32_t>(in_rows[p]) >= inputs;
    outside |= static_cast<uint32_t>(out_rows[p]) >= outputs;
  }
  for (int64_t p = 1; p < count; ++p) falls |= out_rows[p] < out_rows[p - 1];
  return {!outside, !falls};
}

// Pairs whose output rows ascend within each offset: the given ones, or a sorted copy if they do not ascend. Throws if a row is
// out of range.
class AscendingPairs {
 public:
  AscendingPairs(const SparsePairs& given, int threads) : pairs(given) {
    if (given.inputs > INT32_MAX || given.outputs > INT32_MAX) throw std::invalid_argument("sparse: more rows than an int32 can count");
    bool inside = true, ascending = true;
    for (int64_t k = 0; k < given.offsets; ++k) {
      const int64_t start = given.splits[k], count = given.splits[k + 1] - start;
      const Order order = inspect(given.in_rows + start, given.out_rows + start, count, static_cast<uint32_t>(given.inputs),
                                  static_cast<uint32_t>(given.outputs));
      inside &= order.inside, ascending &= order.ascending;
    }
    if (!inside) throw std::invalid_argument("sparse: a pair names a row that is not there");
    if (!ascending) sort(threads);
  }

  SparsePairs pairs;

 private:
  // A stable counting sort for each offset.
  void sort(int threads) {
    const SparsePairs given = pairs;
    const int64_t total = given.splits[given.offsets];
    in_.resize(total), out_.resize(total);
    // Allocated here, because an exception that escapes a parallel region terminates the process.
    std::vector<std::vector<int32_t>> places(threads, std::vector<int32_t>(given.outputs + 1));
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int part = 0; part < threads; ++part)
      for (int64_t k = part; k < given.offsets; k += threads) sort_offset(given, k, places[part]);
    pairs.in_rows = in_.data(), pairs.out_rows = out_.data();
  }

  void sort_offset(const SparsePairs& given, int64_t k, std::vector<int32_t>& place) {
    std::fill(place.begin(), place.end(), 0);
    for (int64_t p = given.splits[k]; p < given.splits[k + 1]; ++p) ++place[given.out_rows[p] + 1];
    for (int64_t o = 0; o < given.outputs; ++o) place[o + 1] += place[o];
    for (int64_t p = given.splits[k]; p < given.splits[k + 1]; ++p) {
      const int64_t to = given.splits[k] + place[given.out_rows[p]]++;
      in_[to] = given.in_rows[p], out_[to] = given.out_rows[p];
    }
  }

  std::vector<int32_t> in_, out_;
};

// Returns how many pairs one kernel call can take; their output rows must differ.
int64_t group_size(const int32_t* out_rows, int64_t left, int64_t most) {
  int64_t size = 1;
  while (size < std::min(left, most) && out_rows[size] != out_rows[size - 1]) ++size;
  return size;
}

// Adds the contribution of one offset to a tile; `sums` is the first row of the tile.
void add_offset(const PanelGemm& gemm, const Panels& panels, const float* features, int64_t depth, const float* packed,
                const int32_t* in_rows, const int32_t* out_rows, int64_t count, int64_t first_row, float* sums) {
  alignas(64) float gathered[kMaxRows * kGatherStride];
  float* out[kMaxRows];
  for (int64_t p = 0; p < count;) {
    const int64_t rows = group_size(out_rows + p, count - p, panels.rows);
    const PanelKernel multiply = gemm.by_row[panels.vectors - 1][rows - 1];
    for (int64_t start = 0; start < depth; start += kGatherDepth) {
      const int64_t part = std::min<int64_t>(kGatherDepth, depth - start);
      gemm.gather(features + start, depth, in_rows + p, rows, part, gathered, kGatherStride);
      for (int64_t j = 0; j < panels.count; ++j) {
        for (int64_t r = 0; r < rows; ++r) out[r] = sums + (out_rows[p + r] - first_row) * panels.padded() + j * panels.panel;
        multiply(gathered, packed + (j * depth + start) * panels.panel, part, out);
      }
    }
    p += rows;
  }
}

int64_t tile_rows(const Panels& panels, int64_t outputs, int threads) {
  const int64_t most = std::max<int64_t>(kTileFloats / panels.padded(), 64);
  return std::clamp<int64_t>(outputs / (4 * threads), std::min<int64_t>(64, most), most);
}

struct Segment {
  int64_t offset, start, stop;
};

// Splits the pairs of each offset into segments whose length depends only on the number of pairs, not on the number of threads.
std::vector<Segment> cut(const SparsePairs& pairs) {
  const int64_t length = std::max(kSegmentPairs, pairs.splits[pairs.offsets] / kMostSegments);
  std::vector<Segment> segments;
  for (int64_t k = 0; k < pairs.offsets; ++k)
    for (int64_t p = pairs.splits[k]; p < pairs.splits[k + 1]; p += length)
      segments.push_back({k, p, std::min(p + length, pairs.splits[k + 1])});
  return segments;
}

// Adds the outer products of up to kPairsAtOnce pairs to `sums`, (c_in, padded); `left` and `right` are buffers for the gathered
// rows.
void add_products(const PanelGemm& gemm, const Panels& panels, const float* features, int64_t c_in, const float* gradient,
                  const int32_t* in_rows, const int32_t* out_rows, int64_t count, float* left, float* right, float* sums) {
  float* out[kMaxRows];
  for (int64_t j = 0; j < panels.count; ++j)
    gemm.gather(gradient + j * panels.panel, panels.width, out_rows, count, panels.used(j), right + j * kPairsAtOnce * panels.panel,
                panels.panel);
  for (int64_t start = 0; start < c_in; start += kGatherDepth) {
    const int64_t part = std::min<int64_t>(kGatherDepth, c_in - start);
    gemm.gather(features + start, c_in, in_rows, count, part, left, kGatherStride);
    for (int64_t j = 0; j < panels.count; ++j)
      for (int64_t c = 0; c < part; c += panels.rows) {
        const int64_t rows = std::min<int64_t>(panels.rows, part - c);
        for (int64_t r = 0; r < rows; ++r) out[r] = sums + (start + c + r) * panels.padded() + j * panels.panel;
        gemm.by_depth[panels.vectors - 1][rows - 1](left + c, right + j * kPairsAtOnce * panels.panel, count, out);
      }
  }
}

void add_segment(const PanelGemm& gemm, const Panels& panels, const SparsePairs& pairs, const Segment& segment, const float* features,
                 int64_t c_in, const float* gradient, float* gathered, float* sums) {
  float* left = gathered;
  float* right = gathered + kPairsAtOnce * kGatherStride;
  std::fill_n(right, kPairsAtOnce * panels.padded(), 0.f);  // the padding columns of a panel stay zero
  std::fill_n(sums, c_in * panels.padded(), 0.f);
  for (int64_t p = segment.start; p < segment.stop; p += kPairsAtOnce)
    add_products(gemm, panels, features, c_in, gradient, pairs.in_rows + p, pairs.out_rows + p, std::min(kPairsAtOnce, segment.stop - p),
                 left, right, sums);
}

}  // namespace

void sparse_conv_forward(const SparsePairs& given, const float* features, const float* weight, int64_t c_in, int64_t c_out,
                         float* result, int threads) {
  if (given.outputs == 0 || c_out == 0) return;
  const AscendingPairs ascending(given, threads);
  const SparsePairs& pairs = ascending.pairs;
  const PanelGemm& gemm = panel_gemm();
  const Panels panels(gemm, c_out);
  const int64_t slice = c_in * panels.padded(), rows = tile_rows(panels, pairs.outputs, threads);
  const Buffer packed(pairs.offsets * slice);
  BufferEach tiles(rows * panels.padded(), threads);
#pragma omp parallel num_threads(threads)
  {
    float* sums = tiles.take();
#pragma omp for schedule(static)
    for (int64_t k = 0; k < pairs.offsets; ++k) pack(panels, weight + k * c_in * c_out, c_in, packed.data() + k * slice);
#pragma omp for schedule(dynamic, 1)
    for (int64_t first = 0; first < pairs.outputs; first += rows) {
      const int64_t last = std::min(first + rows, pairs.outputs);
      std::fill_n(sums, (last - first) * panels.padded(), 0.f);
      for (int64_t k = 0; k < pairs.offsets; ++k) {
        const int32_t* end = pairs.out_rows + pairs.splits[k + 1];
        const int32_t* from = std::lower_bound(pairs.out_rows + pairs.splits[k], end, static_cast<int32_t>(first));
        const int32_t* to = std::lower_bound(from, end, static_cast<int32_t>(last));
        add_offset(gemm, panels, features, c_in, packed.data() + k * slice, pairs.in_rows + (from - pairs.out_rows), from, to - from,
                   first, sums);
      }
      for (int64_t o = first; o < last; ++o) std::copy_n(sums + (o - first) * panels.padded(), c_out, result + o * c_out);
    }
  }
}

void sparse_conv_weight_gradient(const SparsePairs& given, const float* features, const float* gradient, int64_t c_in, int64_t c_out,
                                 float* result, int threads) {
  std::fill_n(result, given.offsets * c_in * c_out, 0.f);
  if (c_in == 0 || c_out == 0) return;
  const AscendingPairs ascending(given, threads);
  const SparsePairs& pairs = ascending.pairs;
  const PanelGemm& gemm = panel_gemm();
  const Panels panels(gemm, c_out);
  const std::vector<Segment> segments = cut(pairs);
  const int64_t slice = c_in * panels.padded(), count = static_cast<int64_t>(segments.size());
  const Buffer sums(count * slice);
  BufferEach gathered(kPairsAtOnce * (kGatherStride + panels.padded()), threads);
#pragma omp parallel num_threads(threads)
  {
    float* own = gathered.take();
#pragma omp for schedule(dynamic, 1)
    for (int64_t s = 0; s < count; ++s)
      add_segment(gemm, panels, pairs, segments[s], features, c_in, gradient, own, sums.data() + s * slice);
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t c = 0; c < c_in; ++c)
    for (int64_t s = 0; s < count; ++s) {
      float* to = result + (segments[s].offset * c_in + c) * c_out;
      const float* from = sums.data() + s * slice + c * panels.padded();
      for (int64_t j = 0; j < c_out; ++j) to[j] += from[j];
    }
}

}  // namespace deep3dmap::cpu

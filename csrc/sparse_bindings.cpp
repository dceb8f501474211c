// Python bindings of the sparse kernels; see csrc/cpu/sparse.h for the arguments.
#include "sparse_bindings.h"

#include <string>

#include "cpu/sparse.h"
#include "cpu/sparse_gemm.h"
#include "sparse_face.h"
#if defined(DEEP3DMAP_CUDA)
#include "cuda/sparse.h"
#endif

namespace nb = nanobind;

namespace deep3dmap {
namespace {

template <typename T, size_t N>
using OnCpu = SparseArray<nb::device::cpu, T, N>;

void pair_counts(OnCpu<const int32_t, 2> table, OnCpu<int64_t, 1> counts, int threads) {
  require(counts.shape(0) == table.shape(0), "counts must have one entry for each offset");
  require(size(table, 1) <= INT32_MAX, "more outputs than an int32 can count");
  nb::gil_scoped_release nogil;
  cpu::sparse_pair_counts(table.data(), size(table, 0), size(table, 1), counts.data(), threads);
}

void pairs(OnCpu<const int32_t, 2> table, SparseSplits splits, OnCpu<int32_t, 1> in_rows, OnCpu<int32_t, 1> out_rows, int threads) {
  require(splits.shape(0) == table.shape(0) + 1, "splits must have one entry more than offsets");
  require(in_rows.shape(0) == out_rows.shape(0), "in_rows and out_rows must have the same length");
  check_splits(splits, size(in_rows, 0));
  require(size(table, 1) <= INT32_MAX, "more outputs than an int32 can count");
  nb::gil_scoped_release nogil;
  cpu::sparse_pairs(table.data(), size(table, 1), splits.data(), size(table, 0), in_rows.data(), out_rows.data(), threads);
}

// Used for both devices: `Kernels` provides the functions, `Handle` is the number of threads or the stream.
template <typename Device, typename Handle, typename Kernels>
struct Face {
  template <typename T, size_t N>
  using Of = SparseArray<Device, T, N>;
  using Pairs = Of<const int32_t, 1>;

  static void lookup(Of<const int32_t, 2> coordinates, Of<const int32_t, 2> queries, Of<int64_t, 1> rows, Handle handle) {
    require(size(coordinates, 1) == 4 && size(queries, 1) == 4, "coordinates and queries must have 4 columns");
    require(rows.shape(0) == queries.shape(0), "rows must have one entry for each query");
    nb::gil_scoped_release nogil;
    Kernels::lookup(coordinates.data(), size(coordinates, 0), queries.data(), size(queries, 0), rows.data(), handle);
  }

  static void neighbours(Of<const int32_t, 2> inputs, Of<const int32_t, 2> outputs, Of<const int32_t, 2> offsets, Of<int32_t, 2> table,
                         Handle handle) {
    require(size(inputs, 1) == 4 && size(outputs, 1) == 4 && size(offsets, 1) == 3, "coordinates must have 4 columns, offsets 3");
    require(table.shape(0) == offsets.shape(0) && table.shape(1) == outputs.shape(0), "table must be (offsets, outputs)");
    nb::gil_scoped_release nogil;
    Kernels::neighbours(inputs.data(), size(inputs, 0), outputs.data(), size(outputs, 0), offsets.data(), size(offsets, 0),
                        table.data(), handle);
  }

  static void conv_forward(Of<const float, 2> features, Of<const float, 3> weight, Pairs in_rows, Pairs out_rows, SparseSplits splits,
                           Of<float, 2> result, Handle handle) {
    const SparsePairs given = pairs_of(in_rows, out_rows, splits, size(features, 0), size(result, 0));
    require(size(weight, 0) == given.offsets && weight.shape(1) == features.shape(1) && weight.shape(2) == result.shape(1),
            "weight must be (offsets, input channels, output channels)");
    nb::gil_scoped_release nogil;
    Kernels::conv_forward(given, features.data(), weight.data(), size(weight, 1), size(weight, 2), result.data(), handle);
  }

  static void conv_weight_gradient(Of<const float, 2> features, Of<const float, 2> gradient, Pairs in_rows, Pairs out_rows,
                                   SparseSplits splits, Of<float, 3> result, Handle handle) {
    const SparsePairs given = pairs_of(in_rows, out_rows, splits, size(features, 0), size(gradient, 0));
    require(size(result, 0) == given.offsets && result.shape(1) == features.shape(1) && result.shape(2) == gradient.shape(1),
            "result must be (offsets, input channels, output channels)");
    nb::gil_scoped_release nogil;
    Kernels::conv_weight_gradient(given, features.data(), gradient.data(), size(result, 1), size(result, 2), result.data(), handle);
  }

  static void voxelize_forward(Of<const float, 2> features, Of<const int64_t, 1> rows, Of<float, 2> mean, Of<int32_t, 1> counts,
                               Handle handle) {
    require(rows.shape(0) == features.shape(0) && mean.shape(1) == features.shape(1) && counts.shape(0) == mean.shape(0),
            "features (P, C), rows (P,), mean (cells, C), counts (cells,)");
    nb::gil_scoped_release nogil;
    Kernels::voxelize_forward(features.data(), rows.data(), size(features, 0), size(features, 1), size(mean, 0), mean.data(),
                              counts.data(), handle);
  }

  static void voxelize_backward(Of<const float, 2> gradient, Of<const int64_t, 1> rows, Of<const int32_t, 1> counts,
                                Of<float, 2> result, Handle handle) {
    require(rows.shape(0) == result.shape(0) && gradient.shape(1) == result.shape(1) && counts.shape(0) == gradient.shape(0),
            "gradient (cells, C), rows (P,), counts (cells,), result (P, C)");
    nb::gil_scoped_release nogil;
    Kernels::voxelize_backward(gradient.data(), rows.data(), counts.data(), size(result, 0), size(result, 1), size(gradient, 0),
                               result.data(), handle);
  }

  static void devoxelize_forward(Of<const float, 2> features, Of<const int64_t, 2> rows, Of<const float, 2> weights,
                                 Of<float, 2> result, Handle handle) {
    check_corners(rows, weights, result);
    require(features.shape(1) == result.shape(1), "features and result differ in channels");
    nb::gil_scoped_release nogil;
    Kernels::devoxelize_forward(features.data(), rows.data(), weights.data(), size(result, 0), size(result, 1), size(features, 0),
                                result.data(), handle);
  }

  static void devoxelize_backward(Of<const float, 2> gradient, Of<const int64_t, 2> rows, Of<const float, 2> weights,
                                  Of<float, 2> result, Handle handle) {
    check_corners(rows, weights, gradient);
    require(gradient.shape(1) == result.shape(1), "gradient and result differ in channels");
    nb::gil_scoped_release nogil;
    Kernels::devoxelize_backward(gradient.data(), rows.data(), weights.data(), size(gradient, 0), size(gradient, 1), size(result, 0),
                                 result.data(), handle);
  }

  template <typename Rows, typename Weights, typename Points>
  static void check_corners(const Rows& rows, const Weights& weights, const Points& points) {
    require(size(rows, 1) == 8 && size(weights, 1) == 8, "rows and weights must have 8 columns");
    require(rows.shape(0) == points.shape(0) && weights.shape(0) == points.shape(0),
            "rows and weights must have one entry for each point");
  }
};

#define DEEP3DMAP_SPARSE_KERNELS(device)                                              \
  struct device##_kernels {                                                           \
    static constexpr auto lookup = device::sparse_lookup;                             \
    static constexpr auto neighbours = device::sparse_neighbours;                     \
    static constexpr auto conv_forward = device::sparse_conv_forward;                 \
    static constexpr auto conv_weight_gradient = device::sparse_conv_weight_gradient; \
    static constexpr auto voxelize_forward = device::sparse_voxelize_forward;         \
    static constexpr auto voxelize_backward = device::sparse_voxelize_backward;       \
    static constexpr auto devoxelize_forward = device::sparse_devoxelize_forward;     \
    static constexpr auto devoxelize_backward = device::sparse_devoxelize_backward;   \
  }

DEEP3DMAP_SPARSE_KERNELS(cpu);
#if defined(DEEP3DMAP_CUDA)
DEEP3DMAP_SPARSE_KERNELS(cuda);
#endif

template <typename Device, typename Handle, typename Kernels>
void define_for(nb::module_& m, const std::string& device) {
  using F = Face<Device, Handle, Kernels>;
  define_sparse_kernel(m, "sparse_lookup" + device, F::lookup, "coordinates", "queries", "rows");
  define_sparse_kernel(m, "sparse_neighbours" + device, F::neighbours, "inputs", "outputs", "offsets", "table");
  define_sparse_kernel(m, "sparse_conv_forward" + device, F::conv_forward, "features", "weight", "in_rows", "out_rows", "splits",
                       "result");
  define_sparse_kernel(m, "sparse_conv_weight_gradient" + device, F::conv_weight_gradient, "features", "gradient", "in_rows", "out_rows",
                       "splits", "result");
  define_sparse_kernel(m, "sparse_voxelize_forward" + device, F::voxelize_forward, "features", "rows", "mean", "counts");
  define_sparse_kernel(m, "sparse_voxelize_backward" + device, F::voxelize_backward, "gradient", "rows", "counts", "result");
  define_sparse_kernel(m, "sparse_devoxelize_forward" + device, F::devoxelize_forward, "features", "rows", "weights", "result");
  define_sparse_kernel(m, "sparse_devoxelize_backward" + device, F::devoxelize_backward, "gradient", "rows", "weights", "result");
}

}  // namespace

void define_sparse(nb::module_& m) {
  define_for<nb::device::cpu, int, cpu_kernels>(m, "_cpu");
  define_sparse_kernel(m, "sparse_pair_counts_cpu", pair_counts, "table", "counts");
  define_sparse_kernel(m, "sparse_pairs_cpu", pairs, "table", "splits", "in_rows", "out_rows");
  m.def("sparse_use_simd", &cpu::use_panel_gemm, nb::arg("name"));
  m.def("sparse_simd", [] { return cpu::panel_gemm().name; });
#if defined(DEEP3DMAP_CUDA)
  define_for<nb::device::cuda, uint64_t, cuda_kernels>(m, "_cuda");
  define_sparse_on_cuda(m);
#endif
}

}  // namespace deep3dmap

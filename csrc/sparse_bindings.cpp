// The Python face of the sparse kernels; csrc/cpu/sparse.h says what each takes.
#include "sparse_bindings.h"

#include <nanobind/ndarray.h>

#include <string>

#include "checks.h"
#include "cpu/sparse.h"
#include "cpu/sparse_gemm.h"
#if defined(DEEP3DMAP_CUDA)
#include "cuda/sparse.h"
#include "cuda/sparse_tensor.h"
#endif

namespace nb = nanobind;

namespace deep3dmap {
namespace {

template <typename Device, typename T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, Device>;

using Splits = Array<nb::device::cpu, const int64_t, 1>;

void check_splits(const Splits& splits, int64_t pairs) {
  require_rising<nb::device::cpu>(splits, pairs, "splits must rise from 0 to the number of pairs");
}

template <typename Rows>
SparsePairs pairs_of(const Rows& in_rows, const Rows& out_rows, const Splits& splits, int64_t inputs, int64_t outputs) {
  require(in_rows.shape(0) == out_rows.shape(0), "in_rows and out_rows differ in length");
  check_splits(splits, size(in_rows, 0));
  return {in_rows.data(), out_rows.data(), splits.data(), size(splits, 0) - 1, inputs, outputs};
}

template <typename T, size_t N>
using OnCpu = Array<nb::device::cpu, T, N>;

void pair_counts(OnCpu<const int32_t, 2> table, OnCpu<int64_t, 1> counts, int threads) {
  require(counts.shape(0) == table.shape(0), "counts must be as many as offsets");
  nb::gil_scoped_release nogil;
  cpu::sparse_pair_counts(table.data(), size(table, 0), size(table, 1), counts.data(), threads);
}

void pairs(OnCpu<const int32_t, 2> table, Splits splits, OnCpu<int32_t, 1> in_rows, OnCpu<int32_t, 1> out_rows, int threads) {
  require(splits.shape(0) == table.shape(0) + 1, "splits must be one more than offsets");
  require(in_rows.shape(0) == out_rows.shape(0), "in_rows and out_rows differ in length");
  check_splits(splits, size(in_rows, 0));
  require(size(table, 1) <= INT32_MAX, "more outputs than an int32 can count");
  nb::gil_scoped_release nogil;
  cpu::sparse_pairs(table.data(), size(table, 1), splits.data(), size(table, 0), in_rows.data(), out_rows.data(), threads);
}

// Either device; `Kernels` names its functions, `Handle` is the number of threads or the stream.
template <typename Device, typename Handle, typename Kernels>
struct Face {
  template <typename T, size_t N>
  using Of = Array<Device, T, N>;
  using Pairs = Of<const int32_t, 1>;

  static void lookup(Of<const int32_t, 2> coordinates, Of<const int32_t, 2> queries, Of<int64_t, 1> rows, Handle handle) {
    require(size(coordinates, 1) == 4 && size(queries, 1) == 4, "coordinates and queries have 4 columns");
    require(rows.shape(0) == queries.shape(0), "rows must be as many as queries");
    nb::gil_scoped_release nogil;
    Kernels::lookup(coordinates.data(), size(coordinates, 0), queries.data(), size(queries, 0), rows.data(), handle);
  }

  static void neighbours(Of<const int32_t, 2> inputs, Of<const int32_t, 2> outputs, Of<const int32_t, 2> offsets, Of<int32_t, 2> table,
                         Handle handle) {
    require(size(inputs, 1) == 4 && size(outputs, 1) == 4 && size(offsets, 1) == 3, "coordinates have 4 columns, offsets 3");
    require(table.shape(0) == offsets.shape(0) && table.shape(1) == outputs.shape(0), "table must be (offsets, outputs)");
    nb::gil_scoped_release nogil;
    Kernels::neighbours(inputs.data(), size(inputs, 0), outputs.data(), size(outputs, 0), offsets.data(), size(offsets, 0),
                        table.data(), handle);
  }

  static void conv_forward(Of<const float, 2> features, Of<const float, 3> weight, Pairs in_rows, Pairs out_rows, Splits splits,
                           Of<float, 2> result, Handle handle) {
    const SparsePairs given = pairs_of(in_rows, out_rows, splits, size(features, 0), size(result, 0));
    require(size(weight, 0) == given.offsets && weight.shape(1) == features.shape(1) && weight.shape(2) == result.shape(1),
            "weight must be (offsets, input channels, output channels)");
    nb::gil_scoped_release nogil;
    Kernels::conv_forward(given, features.data(), weight.data(), size(weight, 1), size(weight, 2), result.data(), handle);
  }

  static void conv_weight_gradient(Of<const float, 2> features, Of<const float, 2> gradient, Pairs in_rows, Pairs out_rows,
                                   Splits splits, Of<float, 3> result, Handle handle) {
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
    require(size(rows, 1) == 8 && size(weights, 1) == 8, "rows and weights have 8 columns");
    require(rows.shape(0) == points.shape(0) && weights.shape(0) == points.shape(0), "rows and weights must be one per point");
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

#if defined(DEEP3DMAP_CUDA)
using Rows = Array<nb::device::cuda, const int32_t, 1>;

template <typename T, size_t N>
using OnCuda = Array<nb::device::cuda, T, N>;

void map_on_cuda(OnCuda<const int32_t, 2> inputs, OnCuda<const int32_t, 2> outputs, OnCpu<const int32_t, 2> offsets,
                 OnCuda<int64_t, 1> keys, OnCuda<int32_t, 1> slots, OnCuda<int32_t, 2> table, OnCuda<int64_t, 2> places,
                 OnCuda<int64_t, 1> heads, uint64_t stream) {
  require(size(inputs, 1) == 4 && size(outputs, 1) == 4 && size(offsets, 1) == 3, "coordinates have 4 columns, offsets 3");
  require(table.shape(0) == offsets.shape(0) && table.shape(1) == outputs.shape(0), "table must be (offsets, outputs)");
  require(size(outputs, 0) <= INT32_MAX && size(inputs, 0) <= INT32_MAX, "more rows than an int32 can count");
  size_t most = 2;
  while (most < 2 * inputs.shape(0)) most *= 2;
  require(keys.shape(0) >= most && slots.shape(0) >= most, "keys and slots must be a power of two from twice the inputs");
  require(places.shape(0) == offsets.shape(0) && size(places, 1) == (size(outputs, 0) + cuda::kSparsePart - 1) / cuda::kSparsePart,
          "places must be (offsets, parts)");
  require(heads.shape(0) == offsets.shape(0) + 2, "heads must be two more than offsets");
  nb::gil_scoped_release nogil;
  cuda::sparse_map(inputs.data(), size(inputs, 0), outputs.data(), size(outputs, 0), offsets.data(), size(offsets, 0), keys.data(),
                   slots.data(), table.data(), places.data(), heads.data(), stream);
}

void map_pairs_on_cuda(OnCuda<const int32_t, 2> table, OnCuda<const int64_t, 2> places, OnCuda<int32_t, 1> in_rows,
                       OnCuda<int32_t, 1> out_rows, uint64_t stream) {
  require(in_rows.shape(0) == out_rows.shape(0), "in_rows and out_rows differ in length");
  require(places.shape(0) == table.shape(0) && size(places, 1) == (size(table, 1) + cuda::kSparsePart - 1) / cuda::kSparsePart,
          "places must be (offsets, parts)");
  nb::gil_scoped_release nogil;
  cuda::sparse_map_pairs(table.data(), size(table, 1), size(table, 0), places.data(), in_rows.data(), out_rows.data(), stream);
}

template <size_t N>
using Numbers = nb::ndarray<nb::ndim<N>, nb::c_contig, nb::device::cuda>;

// The type of all the arrays; `tf32` says how float32 is multiplied.
template <typename First, typename... Others>
cuda::Numbers numbers_of(bool tf32, const First& first, const Others&... others) {
  const nb::dlpack::dtype type = first.dtype();
  require(((others.dtype() == type) && ...), "features, filters and result must have one type");
  const bool bfloat = type.code == static_cast<uint8_t>(nb::dlpack::dtype_code::Bfloat);
  require(type.lanes == 1 && (bfloat || type.code == static_cast<uint8_t>(nb::dlpack::dtype_code::Float)) &&
              (type.bits == 16 || (type.bits == 32 && !bfloat)), "features are float32, float16 or bfloat16");
  return type.bits == 32 ? (tf32 ? cuda::Numbers::tf32 : cuda::Numbers::float32) : bfloat ? cuda::Numbers::bfloat16 : cuda::Numbers::half;
}

template <typename Array>
void require_pieces(const Array& array) {
  require(reinterpret_cast<uintptr_t>(array.data()) % 16 == 0 && array.shape(array.ndim() - 1) * array.itemsize() % 16 == 0,
          "rows must begin at multiples of 16 bytes");
}

void tensor_forward(Numbers<2> features, Numbers<3> filters, Rows in_rows, Rows out_rows, Splits splits,
                    Array<nb::device::cuda, int32_t, 2> table, Numbers<2> result, bool tf32, uint64_t stream) {
  const SparsePairs given = pairs_of(in_rows, out_rows, splits, size(features, 0), size(result, 0));
  const cuda::Numbers numbers = numbers_of(tf32, features, filters, result);
  require(size(filters, 0) == given.offsets && filters.shape(2) == features.shape(1) && filters.shape(1) == result.shape(1),
          "filters must be (offsets, output channels, input channels)");
  require(size(table, 0) == given.offsets && size(table, 1) == given.outputs, "table must be (offsets, outputs)");
  require(features.shape(1) <= INT_MAX && filters.shape(1) <= INT_MAX, "fewer channels than 2^31");
  require_pieces(features), require_pieces(filters);
  nb::gil_scoped_release nogil;
  cuda::sparse_tensor_forward(given, numbers, features.data(), filters.data(), size(filters, 2), size(filters, 1), table.data(),
                              result.data(), stream);
}

void tensor_weight_gradient(Numbers<2> features, Numbers<2> gradient, Rows in_rows, Rows out_rows, Splits splits, int64_t length,
                            Array<nb::device::cuda, float, 3> sums, Numbers<3> result, bool tf32, uint64_t stream) {
  const SparsePairs given = pairs_of(in_rows, out_rows, splits, size(features, 0), size(gradient, 0));
  const cuda::Numbers numbers = numbers_of(tf32, features, gradient, result);
  require(size(result, 0) == given.offsets && result.shape(1) == features.shape(1) && result.shape(2) == gradient.shape(1),
          "result must be (offsets, input channels, output channels)");
  require(length > 0 && length % 32 == 0, "length must be a multiple of 32");
  int64_t segments = 0;
  for (int64_t k = 0; k < given.offsets; ++k) segments += (given.splits[k + 1] - given.splits[k] + length - 1) / length;
  require(size(sums, 0) >= segments && sums.shape(1) == result.shape(1) && sums.shape(2) == result.shape(2),
          "sums must be (segments, input channels, output channels)");
  require(features.shape(1) <= INT_MAX && gradient.shape(1) <= INT_MAX, "fewer channels than 2^31");
  require_pieces(features), require_pieces(gradient);
  nb::gil_scoped_release nogil;
  cuda::sparse_tensor_weight_gradient(given, numbers, features.data(), gradient.data(), size(features, 1), size(gradient, 1), length,
                                      sums.data(), result.data(), stream);
}
#endif

template <typename... Annotations, typename Function>
void define(nb::module_& m, const std::string& name, Function function, const Annotations&... arguments) {
  m.def(name.c_str(), function, nb::arg(arguments).noconvert()..., nb::arg("handle"));
}

template <typename Device, typename Handle, typename Kernels>
void define_for(nb::module_& m, const std::string& device) {
  using F = Face<Device, Handle, Kernels>;
  define(m, "sparse_lookup" + device, F::lookup, "coordinates", "queries", "rows");
  define(m, "sparse_neighbours" + device, F::neighbours, "inputs", "outputs", "offsets", "table");
  define(m, "sparse_conv_forward" + device, F::conv_forward, "features", "weight", "in_rows", "out_rows", "splits", "result");
  define(m, "sparse_conv_weight_gradient" + device, F::conv_weight_gradient, "features", "gradient", "in_rows", "out_rows", "splits",
         "result");
  define(m, "sparse_voxelize_forward" + device, F::voxelize_forward, "features", "rows", "mean", "counts");
  define(m, "sparse_voxelize_backward" + device, F::voxelize_backward, "gradient", "rows", "counts", "result");
  define(m, "sparse_devoxelize_forward" + device, F::devoxelize_forward, "features", "rows", "weights", "result");
  define(m, "sparse_devoxelize_backward" + device, F::devoxelize_backward, "gradient", "rows", "weights", "result");
}

}  // namespace

void define_sparse(nb::module_& m) {
  define_for<nb::device::cpu, int, cpu_kernels>(m, "_cpu");
  define(m, "sparse_pair_counts_cpu", pair_counts, "table", "counts");
  define(m, "sparse_pairs_cpu", pairs, "table", "splits", "in_rows", "out_rows");
  m.def("sparse_use_simd", &cpu::use_panel_gemm, nb::arg("name"));
  m.def("sparse_simd", [] { return cpu::panel_gemm().name; });
#if defined(DEEP3DMAP_CUDA)
  define_for<nb::device::cuda, uint64_t, cuda_kernels>(m, "_cuda");
  define(m, "sparse_map_cuda", map_on_cuda, "inputs", "outputs", "offsets", "keys", "slots", "table", "places", "heads");
  define(m, "sparse_map_pairs_cuda", map_pairs_on_cuda, "table", "places", "in_rows", "out_rows");
  define(m, "sparse_tensor_forward_cuda", tensor_forward, "features", "filters", "in_rows", "out_rows", "splits", "table", "result",
         "tf32");
  define(m, "sparse_tensor_weight_gradient_cuda", tensor_weight_gradient, "features", "gradient", "in_rows", "out_rows", "splits",
         "length", "sums", "result", "tf32");
#endif
}

}  // namespace deep3dmap

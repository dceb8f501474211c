// Python bindings of the CUDA-only sparse kernels; see csrc/cuda/sparse.h and csrc/cuda/sparse_tensor.h for the arguments.
#include "cuda/sparse.h"
#include "cuda/sparse_tensor.h"
#include "sparse_bindings.h"
#include "sparse_face.h"

namespace nb = nanobind;

namespace deep3dmap {
namespace {

template <typename T, size_t N>
using OnCuda = SparseArray<nb::device::cuda, T, N>;

using Rows = OnCuda<const int32_t, 1>;

void map_on_cuda(OnCuda<const int32_t, 2> inputs, OnCuda<const int32_t, 2> outputs, SparseArray<nb::device::cpu, const int32_t, 2> offsets,
                 OnCuda<int64_t, 1> keys, OnCuda<int32_t, 1> slots, OnCuda<int32_t, 2> table, OnCuda<int64_t, 2> places,
                 OnCuda<int64_t, 1> heads, uint64_t stream) {
  require(size(inputs, 1) == 4 && size(outputs, 1) == 4 && size(offsets, 1) == 3, "coordinates must have 4 columns, offsets 3");
  require(table.shape(0) == offsets.shape(0) && table.shape(1) == outputs.shape(0), "table must be (offsets, outputs)");
  require(size(outputs, 0) <= INT32_MAX && size(inputs, 0) <= INT32_MAX, "more rows than an int32 can count");
  size_t most = 2;
  while (most < 2 * inputs.shape(0)) most *= 2;
  require(keys.shape(0) >= most && slots.shape(0) >= most,
          "keys and slots must have at least as many entries as the smallest power of two from twice the inputs");
  require(places.shape(0) == offsets.shape(0) && size(places, 1) == (size(outputs, 0) + cuda::kSparsePart - 1) / cuda::kSparsePart,
          "places must be (offsets, parts)");
  require(heads.shape(0) == offsets.shape(0) + 2, "heads must have two entries more than offsets");
  nb::gil_scoped_release nogil;
  cuda::sparse_map(inputs.data(), size(inputs, 0), outputs.data(), size(outputs, 0), offsets.data(), size(offsets, 0), keys.data(),
                   slots.data(), table.data(), places.data(), heads.data(), stream);
}

void map_pairs_on_cuda(OnCuda<const int32_t, 2> table, OnCuda<const int64_t, 2> places, OnCuda<int32_t, 1> in_rows,
                       OnCuda<int32_t, 1> out_rows, uint64_t stream) {
  require(in_rows.shape(0) == out_rows.shape(0), "in_rows and out_rows must have the same length");
  require(places.shape(0) == table.shape(0) && size(places, 1) == (size(table, 1) + cuda::kSparsePart - 1) / cuda::kSparsePart,
          "places must be (offsets, parts)");
  nb::gil_scoped_release nogil;
  cuda::sparse_map_pairs(table.data(), size(table, 1), size(table, 0), places.data(), in_rows.data(), out_rows.data(), stream);
}

template <size_t N>
using Numbers = nb::ndarray<nb::ndim<N>, nb::c_contig, nb::device::cuda>;

// Common type of the arrays; with `tf32`, float32 is multiplied in TF32.
template <typename First, typename... Others>
cuda::Numbers numbers_of(bool tf32, const First& first, const Others&... others) {
  const nb::dlpack::dtype type = first.dtype();
  require(((others.dtype() == type) && ...), "features, filters and result must have the same type");
  const bool bfloat = type.code == static_cast<uint8_t>(nb::dlpack::dtype_code::Bfloat);
  require(type.lanes == 1 && (bfloat || type.code == static_cast<uint8_t>(nb::dlpack::dtype_code::Float)) &&
              (type.bits == 16 || (type.bits == 32 && !bfloat)), "features must be float32, float16 or bfloat16");
  return type.bits == 32 ? (tf32 ? cuda::Numbers::tf32 : cuda::Numbers::float32) : bfloat ? cuda::Numbers::bfloat16 : cuda::Numbers::half;
}

template <typename Array>
void require_pieces(const Array& array) {
  require(reinterpret_cast<uintptr_t>(array.data()) % 16 == 0 && array.shape(array.ndim() - 1) * array.itemsize() % 16 == 0,
          "rows must begin at multiples of 16 bytes");
}

void tensor_forward(Numbers<2> features, Numbers<3> filters, Rows in_rows, Rows out_rows, SparseSplits splits,
                    OnCuda<int32_t, 2> table, Numbers<2> result, bool tf32, uint64_t stream) {
  const SparsePairs given = pairs_of(in_rows, out_rows, splits, size(features, 0), size(result, 0));
  const cuda::Numbers numbers = numbers_of(tf32, features, filters, result);
  require(size(filters, 0) == given.offsets && filters.shape(2) == features.shape(1) && filters.shape(1) == result.shape(1),
          "filters must be (offsets, output channels, input channels)");
  require(size(table, 0) == given.offsets && size(table, 1) == given.outputs, "table must be (offsets, outputs)");
  require(features.shape(1) <= INT_MAX && filters.shape(1) <= INT_MAX, "there must be fewer channels than 2^31");
  require_pieces(features), require_pieces(filters);
  nb::gil_scoped_release nogil;
  cuda::sparse_tensor_forward(given, numbers, features.data(), filters.data(), size(filters, 2), size(filters, 1), table.data(),
                              result.data(), stream);
}

void tensor_weight_gradient(Numbers<2> features, Numbers<2> gradient, Rows in_rows, Rows out_rows, SparseSplits splits, int64_t length,
                            OnCuda<float, 3> sums, Numbers<3> result, bool tf32, uint64_t stream) {
  const SparsePairs given = pairs_of(in_rows, out_rows, splits, size(features, 0), size(gradient, 0));
  const cuda::Numbers numbers = numbers_of(tf32, features, gradient, result);
  require(size(result, 0) == given.offsets && result.shape(1) == features.shape(1) && result.shape(2) == gradient.shape(1),
          "result must be (offsets, input channels, output channels)");
  require(length > 0 && length % 32 == 0, "length must be a multiple of 32");
  int64_t segments = 0;
  for (int64_t k = 0; k < given.offsets; ++k) segments += (given.splits[k + 1] - given.splits[k] + length - 1) / length;
  require(size(sums, 0) >= segments && sums.shape(1) == result.shape(1) && sums.shape(2) == result.shape(2),
          "sums must be (segments, input channels, output channels)");
  require(features.shape(1) <= INT_MAX && gradient.shape(1) <= INT_MAX, "there must be fewer channels than 2^31");
  require_pieces(features), require_pieces(gradient);
  nb::gil_scoped_release nogil;
  cuda::sparse_tensor_weight_gradient(given, numbers, features.data(), gradient.data(), size(features, 1), size(gradient, 1), length,
                                      sums.data(), result.data(), stream);
}

}  // namespace

void define_sparse_on_cuda(nb::module_& m) {
  define_sparse_kernel(m, "sparse_map_cuda", map_on_cuda, "inputs", "outputs", "offsets", "keys", "slots", "table", "places", "heads");
  define_sparse_kernel(m, "sparse_map_pairs_cuda", map_pairs_on_cuda, "table", "places", "in_rows", "out_rows");
  define_sparse_kernel(m, "sparse_tensor_forward_cuda", tensor_forward, "features", "filters", "in_rows", "out_rows", "splits", "table",
                       "result", "tf32");
  define_sparse_kernel(m, "sparse_tensor_weight_gradient_cuda", tensor_weight_gradient, "features", "gradient", "in_rows", "out_rows",
                       "splits", "length", "sums", "result", "tf32");
}

}  // namespace deep3dmap

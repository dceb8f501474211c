// Shared by the Python bindings of the sparse kernels: the pairs of a kernel map, and the definition of functions.
#pragma once

#include <nanobind/ndarray.h>

#include <string>

#include "checks.h"
#include "kernels/sparse.h"

namespace deep3dmap {

template <typename Device, typename T, size_t N>
using SparseArray = nanobind::ndarray<T, nanobind::ndim<N>, nanobind::c_contig, Device>;

using SparseSplits = SparseArray<nanobind::device::cpu, const int64_t, 1>;

inline void check_splits(const SparseSplits& splits, int64_t pairs) {
  require_non_decreasing<nanobind::device::cpu>(splits, pairs, "splits must run from 0 to the number of pairs without decreasing");
}

template <typename Rows>
SparsePairs pairs_of(const Rows& in_rows, const Rows& out_rows, const SparseSplits& splits, int64_t inputs, int64_t outputs) {
  require(in_rows.shape(0) == out_rows.shape(0), "in_rows and out_rows must have the same length");
  check_splits(splits, size(in_rows, 0));
  return {in_rows.data(), out_rows.data(), splits.data(), size(splits, 0) - 1, inputs, outputs};
}

template <typename... Names, typename Function>
void define_sparse_kernel(nanobind::module_& m, const std::string& name, Function function, const Names&... arguments) {
  m.def(name.c_str(), function, nanobind::arg(arguments).noconvert()..., nanobind::arg("handle"));
}

}  // namespace deep3dmap

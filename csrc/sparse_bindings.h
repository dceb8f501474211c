#pragma once

#include <nanobind/nanobind.h>

namespace deep3dmap {

// Adds the functions that csrc/cpu/sparse.h lists.
void define_sparse(nanobind::module_& m);

// Adds those that csrc/cuda/sparse.h and csrc/cuda/sparse_tensor.h have besides; in builds for CUDA only.
void define_sparse_on_cuda(nanobind::module_& m);

}  // namespace deep3dmap

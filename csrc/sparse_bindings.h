#pragma once

#include <nanobind/nanobind.h>

namespace deep3dmap {

// Adds the functions listed in csrc/cpu/sparse.h.
void define_sparse(nanobind::module_& m);

// Adds the functions that only csrc/cuda/sparse.h and csrc/cuda/sparse_tensor.h provide. CUDA builds only.
void define_sparse_on_cuda(nanobind::module_& m);

}  // namespace deep3dmap

#pragma once

#include <nanobind/nanobind.h>

namespace deep3dmap {

// Adds the functions that csrc/cpu/sparse.h lists.
void define_sparse(nanobind::module_& m);

}  // namespace deep3dmap

#pragma once

#include <nanobind/nanobind.h>

namespace deep3dmap {

// Adds hash_grid_*, composite_* and march_* for the CPU and, in CUDA builds, for CUDA.
void define_radiance(nanobind::module_& m);

}  // namespace deep3dmap

#pragma once

#include <nanobind/nanobind.h>

namespace deep3dmap {

// Adds the functions listed in csrc/cpu/rasterize_soft.h.
void define_soft_raster(nanobind::module_& m);

}  // namespace deep3dmap

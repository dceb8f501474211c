#pragma once

#include <nanobind/nanobind.h>

namespace deep3dmap {

// Adds upfirdn2d and leaky_relu for float and double; see csrc/cpu/upfirdn2d.h and csrc/kernels/leaky_relu.h for the arguments.
void define_image_filters(nanobind::module_& m);

}  // namespace deep3dmap

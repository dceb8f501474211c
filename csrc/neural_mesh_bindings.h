#pragma once

#include <nanobind/nanobind.h>

namespace deep3dmap {

// Adds the functions listed in csrc/cpu/neural_mesh.h and, in CUDA builds, in csrc/cuda/neural_mesh.h.
void define_neural_mesh(nanobind::module_& m);

}  // namespace deep3dmap

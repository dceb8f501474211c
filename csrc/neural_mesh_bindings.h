#pragma once

#include <nanobind/nanobind.h>

namespace deep3dmap {

// Adds the functions that csrc/cpu/neural_mesh.h lists, and those of csrc/cuda/neural_mesh.h where CUDA is built.
void define_neural_mesh(nanobind::module_& m);

}  // namespace deep3dmap

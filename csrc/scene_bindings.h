#pragma once

#include <nanobind/nanobind.h>

namespace deep3dmap {

// Adds solid_albedo, value_noise and cube_light; see csrc/cpu/solid_texture.h and csrc/cpu/cube_light.h for the arguments.
void define_scenes(nanobind::module_& m);

}  // namespace deep3dmap

#pragma once

#include <nanobind/nanobind.h>

namespace deep3dmap {

// Adds solid_albedo, value_noise and cube_light; csrc/cpu/solid_texture.h and csrc/cpu/cube_light.h say what they take.
void define_scenes(nanobind::module_& m);

}  // namespace deep3dmap

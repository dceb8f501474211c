// Python bindings of the kernels that colour procedural scenes.
#include "scene_bindings.h"

#include <nanobind/ndarray.h>

#include "checks.h"
#include "cpu/cube_light.h"
#include "cpu/interpolate.h"
#include "cpu/solid_texture.h"
#include "cpu/value_noise.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace deep3dmap {
namespace {

template <typename T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

void draw_solid(const Array<const float, 2>& place, const Array<const int64_t, 1>& material, const Array<const uint8_t, 1>& pattern,
                const Array<const float, 2>& numbers, const Array<const float, 1>& lattice, const cpu::SolidLight* light,
                const Array<float, 2>& color, int threads) {
  require(place.shape(0) == 3 && color.shape(0) == 3 && place.shape(1) == material.shape(0) && color.shape(1) == material.shape(0),
          "points, their materials and their colours must be (3, N), (N,) and (3, N)");
  require(numbers.shape(0) == pattern.shape(0) && numbers.shape(1) == 8, "each material must have 8 numbers");
  require(pattern.shape(0) <= INT_MAX / 8, "there must be fewer than 2^28 materials");
  require(lattice.shape(0) == cpu::kLatticeSize, "the lattice must have 33^3 values");
  require_ids<nb::device::cpu>(material, 0, size(pattern, 0), "a point has a material that is not there");
  require_ids<nb::device::cpu>(pattern, 0, cpu::kPatterns, "a material has a pattern that is not there");
  const cpu::SolidMaterials materials{pattern.data(), numbers.data(), lattice.data()};
  const cpu::SolidPoints points{place.data(), material.data(), size(material, 0)};
  nb::gil_scoped_release nogil;
  cpu::solid_albedo(materials, points, light, color.data(), threads);
}

void solid_albedo(Array<const float, 2> place, Array<const int64_t, 1> material, Array<const uint8_t, 1> pattern,
                  Array<const float, 2> numbers, Array<const float, 1> lattice, Array<float, 2> color, int threads) {
  draw_solid(place, material, pattern, numbers, lattice, nullptr, color, threads);
}

void solid_shade(Array<const float, 2> place, Array<const int64_t, 1> material, Array<const uint8_t, 1> pattern,
                 Array<const float, 2> numbers, Array<const float, 1> lattice, Array<const float, 1> received,
                 Array<const float, 1> glow, Array<float, 2> color, int threads) {
  require(received.shape(0) == material.shape(0) && glow.shape(0) == pattern.shape(0),
          "there must be one received light for each point and one glow for each material");
  const cpu::SolidLight light{received.data(), glow.data()};
  draw_solid(place, material, pattern, numbers, lattice, &light, color, threads);
}

void interpolate_at(Array<const int64_t, 1> face_id, Array<const float, 2> barycentrics, Array<const int64_t, 2> faces,
                    Array<const float, 2> attributes, Array<float, 2> values, int threads) {
  require(barycentrics.shape(0) == face_id.shape(0) && barycentrics.shape(1) == 3 && faces.shape(1) == 3,
          "barycentrics and faces must be (N, 3) and (F, 3)");
  require(values.shape(0) == attributes.shape(1) && values.shape(1) == face_id.shape(0), "values must be (C, N)");
  require_ids<nb::device::cpu>(faces, 0, size(attributes, 0), "a face has a corner index out of range");
  require_face_ids<nb::device::cpu>(face_id, faces);
  const cpu::SurfaceSamples samples{face_id.data(), barycentrics.data(), size(face_id, 0)};
  const cpu::VertexValues vertex{faces.data(), attributes.data(), static_cast<int>(attributes.shape(1))};
  nb::gil_scoped_release nogil;
  cpu::interpolate_at(samples, vertex, values.data(), threads);
}

void value_noise(Array<const float, 2> place, Array<const float, 1> lattice, Array<float, 1> noise, int threads) {
  require(place.shape(0) == 3 && place.shape(1) == noise.shape(0), "places and their noise must be (3, N) and (N,)");
  require(lattice.shape(0) == cpu::kLatticeSize, "the lattice must have 33^3 values");
  nb::gil_scoped_release nogil;
  cpu::value_noise(lattice.data(), place.data(), size(noise, 0), noise.data(), threads);
}

void cube_light(Array<const float, 2> points, Array<const float, 2> normals, Array<const float, 3> cube, Array<const float, 1> place,
                float power, float lift, Array<float, 1> received, int threads) {
  require(points.shape(0) == 3 && normals.shape(0) == 3 && points.shape(1) == received.shape(0) && normals.shape(1) == received.shape(0),
          "points, normals and what they receive must be (3, N), (3, N) and (N,)");
  require(cube.shape(0) == 6 && cube.shape(1) == cube.shape(2) && cube.shape(1) >= 3 && cube.shape(1) <= 8192,
          "a shadow cube must be (6, S, S) with S from 3 to 8192");
  require(place.shape(0) == 3, "a place must have 3 coordinates");
  const cpu::CubeLight light{cube.data(), static_cast<int>(cube.shape(1)), {place.data()[0], place.data()[1], place.data()[2]}, power, lift};
  nb::gil_scoped_release nogil;
  cpu::cube_light(light, points.data(), normals.data(), size(received, 0), received.data(), threads);
}

}  // namespace

void define_scenes(nb::module_& m) {
  m.def("solid_albedo_cpu", &solid_albedo, "place"_a.noconvert(), "material"_a.noconvert(), "pattern"_a.noconvert(),
        "numbers"_a.noconvert(), "lattice"_a.noconvert(), "color"_a.noconvert(), "threads"_a);
  m.def("solid_shade_cpu", &solid_shade, "place"_a.noconvert(), "material"_a.noconvert(), "pattern"_a.noconvert(),
        "numbers"_a.noconvert(), "lattice"_a.noconvert(), "received"_a.noconvert(), "glow"_a.noconvert(), "color"_a.noconvert(),
        "threads"_a);
  m.def("interpolate_at_cpu", &interpolate_at, "face_id"_a.noconvert(), "barycentrics"_a.noconvert(), "faces"_a.noconvert(),
        "attributes"_a.noconvert(), "values"_a.noconvert(), "threads"_a);
  m.def("value_noise_cpu", &value_noise, "place"_a.noconvert(), "lattice"_a.noconvert(), "noise"_a.noconvert(), "threads"_a);
  m.def("cube_light_cpu", &cube_light, "points"_a.noconvert(), "normals"_a.noconvert(), "cube"_a.noconvert(), "place"_a.noconvert(),
        "power"_a, "lift"_a, "received"_a.noconvert(), "threads"_a);
}

}  // namespace deep3dmap

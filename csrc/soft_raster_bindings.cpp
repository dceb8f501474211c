// The Python face of the soft rasteriser; csrc/cpu/rasterize_soft.h says what each function takes.
#include "soft_raster_bindings.h"

#include <nanobind/ndarray.h>

#include "checks.h"
#include "cpu/rasterize_soft.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace deep3dmap {
namespace {

template <typename T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

using Cpu = nb::device::cpu;

template <typename Ids>
SoftInput make_input(const Array<const float, 2>& vertices, const Array<const int64_t, 2>& faces, const Ids& face_id, float blur_radius,
                     bool perspective, bool clip, int cull, bool by_distance) {
  require_mesh<Cpu>(vertices, faces);
  require_pixels(face_id);
  require(face_id.shape(2) <= INT_MAX, "more faces a pixel than an int can count");
  return {vertices.data(), faces.data(), static_cast<int64_t>(vertices.shape(0)), static_cast<int64_t>(faces.shape(0)),
          static_cast<int>(face_id.shape(0)), static_cast<int>(face_id.shape(1)), static_cast<int>(face_id.shape(2)), blur_radius,
          perspective, clip, cull, by_distance};
}

template <typename Depth, typename Barycentrics>
void require_looks(const Array<const int64_t, 2>& faces, const Array<const int64_t, 3>& face_id, const Depth& depth,
                   const Barycentrics& barycentrics, const Depth& distance) {
  require_face_ids<Cpu>(face_id, faces);
  for (size_t axis = 0; axis < 3; ++axis)
    require(depth.shape(axis) == face_id.shape(axis) && barycentrics.shape(axis) == face_id.shape(axis) &&
                distance.shape(axis) == face_id.shape(axis), "depth, barycentrics and distance must be as face_id");
  require(barycentrics.shape(3) == 3, "there are 3 barycentrics");
}

void select(Array<const float, 2> vertices, Array<const int64_t, 2> faces, Array<int64_t, 3> face_id, float blur_radius,
            bool perspective, bool clip, int cull, bool by_distance, int threads) {
  const SoftInput input = make_input(vertices, faces, face_id, blur_radius, perspective, clip, cull, by_distance);
  require(face_id.shape(2) > 0, "at least one face a pixel");
  nb::gil_scoped_release nogil;
  cpu::select_faces(input, face_id.data(), threads);
}

void evaluate(Array<const float, 2> vertices, Array<const int64_t, 2> faces, Array<const int64_t, 3> face_id, Array<float, 3> depth,
              Array<float, 4> barycentrics, Array<float, 3> distance, bool perspective, bool clip, int threads) {
  require_looks(faces, face_id, depth, barycentrics, distance);
  const SoftInput input = make_input(vertices, faces, face_id, 0.f, perspective, clip, 0, false);
  nb::gil_scoped_release nogil;
  cpu::evaluate_faces(input, face_id.data(), depth.data(), barycentrics.data(), distance.data(), threads);
}

void evaluate_backward(Array<const float, 2> vertices, Array<const int64_t, 2> faces, Array<const int64_t, 3> face_id,
                       Array<const float, 3> grad_depth, Array<const float, 4> grad_barycentrics, Array<const float, 3> grad_distance,
                       Array<float, 2> grad_vertices, bool perspective, bool clip, int threads) {
  require_looks(faces, face_id, grad_depth, grad_barycentrics, grad_distance);
  require(grad_vertices.shape(0) == vertices.shape(0) && grad_vertices.shape(1) == 3, "grad_vertices must be as vertices");
  const SoftInput input = make_input(vertices, faces, face_id, 0.f, perspective, clip, 0, false);
  nb::gil_scoped_release nogil;
  cpu::evaluate_faces_backward(input, face_id.data(), grad_depth.data(), grad_barycentrics.data(), grad_distance.data(),
                               grad_vertices.data(), threads);
}

}  // namespace

void define_soft_raster(nb::module_& m) {
  m.def("select_faces_cpu", &select, "vertices"_a.noconvert(), "faces"_a.noconvert(), "face_id"_a.noconvert(), "blur_radius"_a,
        "perspective"_a, "clip"_a, "cull"_a, "by_distance"_a, "threads"_a);
  m.def("evaluate_faces_cpu", &evaluate, "vertices"_a.noconvert(), "faces"_a.noconvert(), "face_id"_a.noconvert(),
        "depth"_a.noconvert(), "barycentrics"_a.noconvert(), "distance"_a.noconvert(), "perspective"_a, "clip"_a, "threads"_a);
  m.def("evaluate_faces_backward_cpu", &evaluate_backward, "vertices"_a.noconvert(), "faces"_a.noconvert(), "face_id"_a.noconvert(),
        "grad_depth"_a.noconvert(), "grad_barycentrics"_a.noconvert(), "grad_distance"_a.noconvert(), "grad_vertices"_a.noconvert(),
        "perspective"_a, "clip"_a, "threads"_a);
}

}  // namespace deep3dmap

// Python bindings of the soft rasteriser; see csrc/cpu/rasterize_soft.h for the arguments.
#include "soft_raster_bindings.h"

#include <nanobind/ndarray.h>

#include "checks.h"
#include "cpu/rasterize_soft.h"
#if defined(DEEP3DMAP_CUDA)
#include "cuda/rasterize_soft.h"
#include "cuda/segment_sum.h"
#endif

namespace nb = nanobind;
using namespace nb::literals;

namespace deep3dmap {
namespace {

using Cpu = nb::device::cpu;

template <typename T, size_t N, typename Device = Cpu>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, Device>;

template <typename Device, typename Ids>
SoftInput make_input(const Array<const float, 2, Device>& vertices, const Array<const int64_t, 2, Device>& faces, const Ids& face_id,
                     float blur_radius, bool perspective, bool clip, int cull, bool by_distance) {
  require_mesh<Device>(vertices, faces);
  require_pixels(face_id);
  require(face_id.shape(2) <= INT_MAX, "there must be fewer than 2^31 faces per pixel");
  return {vertices.data(), faces.data(), static_cast<int64_t>(vertices.shape(0)), static_cast<int64_t>(faces.shape(0)),
          static_cast<int>(face_id.shape(0)), static_cast<int>(face_id.shape(1)), static_cast<int>(face_id.shape(2)), blur_radius,
          perspective, clip, cull, by_distance};
}

template <typename Device, typename Depth, typename Barycentrics>
void require_looks(const Array<const int64_t, 2, Device>& faces, const Array<const int64_t, 3, Device>& face_id, const Depth& depth,
                   const Barycentrics& barycentrics, const Depth& distance) {
  require_face_ids<Device>(face_id, faces);
  for (size_t axis = 0; axis < 3; ++axis)
    require(depth.shape(axis) == face_id.shape(axis) && barycentrics.shape(axis) == face_id.shape(axis) &&
                distance.shape(axis) == face_id.shape(axis), "depth, barycentrics and distance must be as face_id");
  require(barycentrics.shape(3) == 3, "there must be 3 barycentrics");
}

void select(Array<const float, 2> vertices, Array<const int64_t, 2> faces, Array<int64_t, 3> face_id, float blur_radius,
            bool perspective, bool clip, int cull, bool by_distance, int threads) {
  const SoftInput input = make_input<Cpu>(vertices, faces, face_id, blur_radius, perspective, clip, cull, by_distance);
  require(face_id.shape(2) > 0, "there must be at least one face per pixel");
  nb::gil_scoped_release nogil;
  cpu::select_faces(input, face_id.data(), threads);
}

template <typename Device, typename Handle, void (*launch)(const SoftInput&, const int64_t*, float*, float*, float*, Handle)>
void evaluate(Array<const float, 2, Device> vertices, Array<const int64_t, 2, Device> faces, Array<const int64_t, 3, Device> face_id,
              Array<float, 3, Device> depth, Array<float, 4, Device> barycentrics, Array<float, 3, Device> distance, bool perspective,
              bool clip, Handle handle) {
  require_looks<Device>(faces, face_id, depth, barycentrics, distance);
  const SoftInput input = make_input<Device>(vertices, faces, face_id, 0.f, perspective, clip, 0, false);
  nb::gil_scoped_release nogil;
  launch(input, face_id.data(), depth.data(), barycentrics.data(), distance.data(), handle);
}

void evaluate_backward(Array<const float, 2> vertices, Array<const int64_t, 2> faces, Array<const int64_t, 3> face_id,
                       Array<const float, 3> grad_depth, Array<const float, 4> grad_barycentrics, Array<const float, 3> grad_distance,
                       Array<float, 2> grad_vertices, bool perspective, bool clip, int threads) {
  require_looks<Cpu>(faces, face_id, grad_depth, grad_barycentrics, grad_distance);
  require(grad_vertices.shape(0) == vertices.shape(0) && grad_vertices.shape(1) == 3,
          "grad_vertices must have the shape of vertices");
  const SoftInput input = make_input<Cpu>(vertices, faces, face_id, 0.f, perspective, clip, 0, false);
  nb::gil_scoped_release nogil;
  cpu::evaluate_faces_backward(input, face_id.data(), grad_depth.data(), grad_barycentrics.data(), grad_distance.data(),
                               grad_vertices.data(), threads);
}

#if defined(DEEP3DMAP_CUDA)
using Cuda = nb::device::cuda;

template <typename T, size_t N>
using OnCuda = Array<T, N, Cuda>;

void select_on_cuda(OnCuda<const float, 2> vertices, OnCuda<const int64_t, 2> faces, OnCuda<int32_t, 2> boxes, OnCuda<int64_t, 3> face_id,
                    float blur_radius, bool perspective, bool clip, int cull, bool by_distance, uint64_t stream) {
  const SoftInput input = make_input<Cuda>(vertices, faces, face_id, blur_radius, perspective, clip, cull, by_distance);
  const int64_t groups = (input.face_count + cuda::kSoftGroup - 1) / cuda::kSoftGroup;
  require(face_id.shape(2) > 0, "there must be at least one face per pixel");
  require(size(boxes, 0) == input.face_count + groups + 1 && boxes.shape(1) == 4, "boxes must be (F + groups + 1, 4)");
  nb::gil_scoped_release nogil;
  cuda::select_faces(input, reinterpret_cast<SoftBox*>(boxes.data()), face_id.data(), stream);
}

void evaluate_backward_on_cuda(OnCuda<const float, 2> vertices, OnCuda<const int64_t, 2> faces, OnCuda<const int64_t, 3> face_id,
                               OnCuda<const int64_t, 1> cells, OnCuda<const int64_t, 1> starts, OnCuda<const float, 3> grad_depth,
                               OnCuda<const float, 4> grad_barycentrics, OnCuda<const float, 3> grad_distance, OnCuda<float, 3> corners,
                               bool perspective, bool clip, uint64_t stream) {
  require_looks<Cuda>(faces, face_id, grad_depth, grad_barycentrics, grad_distance);
  require(cells.size() == face_id.size() && starts.size() == faces.shape(0) + 1,
          "cells must have the size of face_id, and starts one entry more than faces");
  require(corners.shape(0) == faces.shape(0) && corners.shape(1) == 3 && corners.shape(2) == 3, "corners must be (F, 3, 3)");
  const SoftInput input = make_input<Cuda>(vertices, faces, face_id, 0.f, perspective, clip, 0, false);
  nb::gil_scoped_release nogil;
  cuda::evaluate_faces_backward(input, cells.data(), starts.data(), {grad_depth.data(), grad_barycentrics.data(), grad_distance.data()},
                                corners.data(), stream);
}

void selected_backward_on_cuda(OnCuda<const float, 2> vertices, OnCuda<const int64_t, 2> faces, OnCuda<const int64_t, 3> face_id,
                               OnCuda<const float, 3> grad_depth, OnCuda<const float, 4> grad_barycentrics,
                               OnCuda<const float, 3> grad_distance, OnCuda<float, 3> corners, float blur_radius, bool perspective,
                               bool clip, uint64_t stream) {
  require_looks<Cuda>(faces, face_id, grad_depth, grad_barycentrics, grad_distance);
  require(corners.shape(0) == faces.shape(0) && corners.shape(1) == 3 && corners.shape(2) == 3, "corners must be (F, 3, 3)");
  const SoftInput input = make_input<Cuda>(vertices, faces, face_id, blur_radius, perspective, clip, 0, false);
  nb::gil_scoped_release nogil;
  cuda::selected_faces_backward(input, face_id.data(), {grad_depth.data(), grad_barycentrics.data(), grad_distance.data()},
                                corners.data(), stream);
}

void segment_sum_on_cuda(OnCuda<const float, 2> values, OnCuda<const int64_t, 1> order, OnCuda<const int64_t, 1> starts,
                         OnCuda<const float, 1> weights, int64_t entries_per_row, OnCuda<float, 2> out, uint64_t stream) {
  require(entries_per_row > 0 && order.size() <= values.shape(0) * static_cast<size_t>(entries_per_row),
          "more entries than rows have");
  require(weights.size() == 0 || weights.size() == order.size(), "weights must have one value for each entry");
  require(starts.size() == out.shape(0) + 1 && values.shape(1) == out.shape(1), "out must be (segments, channels)");
  nb::gil_scoped_release nogil;
  cuda::segment_sum(values.data(), order.data(), starts.data(), weights.size() ? weights.data() : nullptr, entries_per_row,
                    static_cast<int64_t>(out.shape(0)), static_cast<int64_t>(out.shape(1)), out.data(), stream);
}
#endif

template <typename Function>
void define_evaluate(nb::module_& m, const char* name, Function function) {
  m.def(name, function, "vertices"_a.noconvert(), "faces"_a.noconvert(), "face_id"_a.noconvert(), "depth"_a.noconvert(),
        "barycentrics"_a.noconvert(), "distance"_a.noconvert(), "perspective"_a, "clip"_a, "handle"_a);
}

}  // namespace

void define_soft_raster(nb::module_& m) {
  m.def("select_faces_cpu", &select, "vertices"_a.noconvert(), "faces"_a.noconvert(), "face_id"_a.noconvert(), "blur_radius"_a,
        "perspective"_a, "clip"_a, "cull"_a, "by_distance"_a, "threads"_a);
  define_evaluate(m, "evaluate_faces_cpu", &evaluate<Cpu, int, cpu::evaluate_faces>);
  m.def("evaluate_faces_backward_cpu", &evaluate_backward, "vertices"_a.noconvert(), "faces"_a.noconvert(), "face_id"_a.noconvert(),
        "grad_depth"_a.noconvert(), "grad_barycentrics"_a.noconvert(), "grad_distance"_a.noconvert(), "grad_vertices"_a.noconvert(),
        "perspective"_a, "clip"_a, "threads"_a);
#if defined(DEEP3DMAP_CUDA)
  m.def("select_faces_cuda", &select_on_cuda, "vertices"_a.noconvert(), "faces"_a.noconvert(), "boxes"_a.noconvert(),
        "face_id"_a.noconvert(), "blur_radius"_a, "perspective"_a, "clip"_a, "cull"_a, "by_distance"_a, "stream"_a);
  define_evaluate(m, "evaluate_faces_cuda", &evaluate<Cuda, uint64_t, cuda::evaluate_faces>);
  m.def("evaluate_faces_backward_cuda", &evaluate_backward_on_cuda, "vertices"_a.noconvert(), "faces"_a.noconvert(),
        "face_id"_a.noconvert(), "cells"_a.noconvert(), "starts"_a.noconvert(), "grad_depth"_a.noconvert(),
        "grad_barycentrics"_a.noconvert(), "grad_distance"_a.noconvert(), "corners"_a.noconvert(), "perspective"_a, "clip"_a, "stream"_a);
  m.def("selected_faces_backward_cuda", &selected_backward_on_cuda, "vertices"_a.noconvert(), "faces"_a.noconvert(),
        "face_id"_a.noconvert(), "grad_depth"_a.noconvert(), "grad_barycentrics"_a.noconvert(), "grad_distance"_a.noconvert(),
        "corners"_a.noconvert(), "blur_radius"_a, "perspective"_a, "clip"_a, "stream"_a);
  m.def("segment_sum_cuda", &segment_sum_on_cuda, "values"_a.noconvert(), "order"_a.noconvert(), "starts"_a.noconvert(),
        "weights"_a.noconvert(), "entries_per_row"_a, "out"_a.noconvert(), "stream"_a);
#endif
}

}  // namespace deep3dmap

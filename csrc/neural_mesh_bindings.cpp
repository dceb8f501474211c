// Python bindings of the Neural 3D Mesh Renderer; see csrc/cpu/neural_mesh.h for the arguments.
#include "neural_mesh_bindings.h"

#include <nanobind/ndarray.h>

#include <string>

#include "checks.h"
#include "cpu/neural_mesh.h"
#if defined(DEEP3DMAP_CUDA)
#include "cuda/neural_mesh.h"
#endif

namespace nb = nanobind;
using namespace nb::literals;

namespace deep3dmap {
namespace {

template <typename Device, typename T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, Device>;

template <typename Device, typename Pixels>
RasterizeInput make_input(const Array<Device, const float, 3>& vertices, const Array<Device, const int64_t, 2>& faces,
                          const Pixels& pixels, bool perspective) {
  require_mesh<Device>(vertices, faces, 1);
  return {vertices.data(), faces.data(), size(vertices, 0), size(vertices, 1), size(faces, 0), static_cast<int>(pixels.shape(1)),
          static_cast<int>(pixels.shape(2)), perspective, Cull::back};
}

// launch: called with the meshes and the output fragments.
template <typename Device, typename Launch>
void find_faces(const Array<Device, const float, 3>& vertices, const Array<Device, const int64_t, 2>& faces,
                const Array<Device, float, 3>& depth, const Array<Device, int64_t, 3>& face_id,
                const Array<Device, float, 4>& barycentrics, float near, float far, bool perspective, const Launch& launch) {
  require_fragments(vertices, depth, face_id, barycentrics);
  const NeuralMesh mesh{make_input(vertices, faces, depth, perspective), near, far};
  const Fragments out{depth.data(), face_id.data(), barycentrics.data()};
  nb::gil_scoped_release nogil;
  launch(mesh, out);
}

using Cpu = nb::device::cpu;

void find_faces_on_cpu(Array<Cpu, const float, 3> vertices, Array<Cpu, const int64_t, 2> faces, Array<Cpu, float, 3> depth,
                       Array<Cpu, int64_t, 3> face_id, Array<Cpu, float, 4> barycentrics, float near, float far, bool perspective,
                       int threads) {
  find_faces(vertices, faces, depth, face_id, barycentrics, near, far, perspective,
             [&](const NeuralMesh& mesh, const Fragments& out) { cpu::neural_mesh_faces(mesh, out, threads); });
}

#if defined(DEEP3DMAP_CUDA)
using Cuda = nb::device::cuda;

void find_faces_on_cuda(Array<Cuda, const float, 3> vertices, Array<Cuda, const int64_t, 2> faces, Array<Cuda, int32_t, 1> scratch,
                        Array<Cuda, float, 3> depth, Array<Cuda, int64_t, 3> face_id, Array<Cuda, float, 4> barycentrics, float near,
                        float far, bool perspective, uint64_t stream) {
  require_scratch(scratch, vertices, faces);
  find_faces(vertices, faces, depth, face_id, barycentrics, near, far, perspective, [&](const NeuralMesh& mesh, const Fragments& out) {
    cuda::neural_mesh_faces(mesh, out, reinterpret_cast<uint32_t*>(scratch.data()), stream);
  });
}
#endif

template <typename Device, typename Handle, void (*launch)(const RasterizeInput&, const NeuralPicture&, float*, double, double, Handle)>
void edges_backward(Array<Device, const float, 2> vertices, Array<Device, const int64_t, 2> faces,
                    Array<Device, const int64_t, 2> face_id, Array<Device, const float, 3> image,
                    Array<Device, const float, 3> gradient, Array<Device, float, 3> corners, double margin_x, double margin_y,
                    Handle handle) {
  require_pixels(face_id);
  require_same_pixels(face_id, image);
  require_same_pixels(face_id, gradient);
  require(image.shape(2) == gradient.shape(2) && image.shape(2) <= INT_MAX, "image and gradient differ in channels");
  require(corners.shape(0) == faces.shape(0) && corners.shape(1) == 3 && corners.shape(2) == 2, "corners must be (faces, 3, 2)");
  require_face_ids<Device>(face_id, faces);
  require_mesh<Device>(vertices, faces);
  // Culling depends only on x and y and depth is not used, so z may have any sign: no perspective.
  const RasterizeInput input{vertices.data(), faces.data(), 1, size(vertices, 0), size(faces, 0), static_cast<int>(face_id.shape(0)),
                             static_cast<int>(face_id.shape(1)), false, Cull::back};
  const NeuralPicture picture{face_id.data(), image.data(), gradient.data(), input.height, input.width, static_cast<int>(image.shape(2))};
  nb::gil_scoped_release nogil;
  launch(input, picture, corners.data(), margin_x, margin_y, handle);
}

template <typename Device, typename Handle, void (*launch)(const RasterizeInput&, const SeenDepth&, float*, Handle)>
void depth_backward(Array<Device, const float, 3> vertices, Array<Device, const int64_t, 2> faces,
                    Array<Device, const int64_t, 3> face_id, Array<Device, const float, 3> depth,
                    Array<Device, const float, 4> barycentrics, Array<Device, const float, 3> gradient,
                    Array<Device, float, 4> corners, bool perspective, Handle handle) {
  require_fragments(vertices, depth, face_id, barycentrics);
  require_same_pixels(face_id, gradient, 3);
  require(corners.shape(0) == vertices.shape(0) && corners.shape(1) == faces.shape(0) && corners.shape(2) == 3 && corners.shape(3) == 3,
          "corners must be (images, faces, 3, 3)");
  require_face_ids<Device>(face_id, faces);
  const RasterizeInput input = make_input(vertices, faces, face_id, perspective);
  const SeenDepth seen{face_id.data(), depth.data(), barycentrics.data(), gradient.data()};
  nb::gil_scoped_release nogil;
  launch(input, seen, corners.data(), handle);
}

template <typename Function>
void define_edges_backward(nb::module_& m, const std::string& name, Function function) {
  m.def(name.c_str(), function, "vertices"_a.noconvert(), "faces"_a.noconvert(), "face_id"_a.noconvert(), "image"_a.noconvert(),
        "gradient"_a.noconvert(), "corners"_a.noconvert(), "margin_x"_a, "margin_y"_a, "handle"_a);
}

template <typename Function>
void define_depth_backward(nb::module_& m, const std::string& name, Function function) {
  m.def(name.c_str(), function, "vertices"_a.noconvert(), "faces"_a.noconvert(), "face_id"_a.noconvert(), "depth"_a.noconvert(),
        "barycentrics"_a.noconvert(), "gradient"_a.noconvert(), "corners"_a.noconvert(), "perspective"_a, "handle"_a);
}

}  // namespace

void define_neural_mesh(nb::module_& m) {
  m.def("neural_mesh_faces_cpu", &find_faces_on_cpu, "vertices"_a.noconvert(), "faces"_a.noconvert(), "depth"_a.noconvert(),
        "face_id"_a.noconvert(), "barycentrics"_a.noconvert(), "near"_a, "far"_a, "perspective"_a, "threads"_a);
  define_edges_backward(m, "neural_mesh_edges_backward_cpu", &edges_backward<Cpu, int, cpu::neural_mesh_edges_backward>);
  define_depth_backward(m, "neural_mesh_depth_backward_cpu", &depth_backward<Cpu, int, cpu::neural_mesh_depth_backward>);
#if defined(DEEP3DMAP_CUDA)
  m.def("neural_mesh_faces_cuda", &find_faces_on_cuda, "vertices"_a.noconvert(), "faces"_a.noconvert(), "scratch"_a.noconvert(),
        "depth"_a.noconvert(), "face_id"_a.noconvert(), "barycentrics"_a.noconvert(), "near"_a, "far"_a, "perspective"_a, "stream"_a);
  define_edges_backward(m, "neural_mesh_edges_backward_cuda", &edges_backward<Cuda, uint64_t, cuda::neural_mesh_edges_backward>);
  define_depth_backward(m, "neural_mesh_depth_backward_cuda", &depth_backward<Cuda, uint64_t, cuda::neural_mesh_depth_backward>);
#endif
}

}  // namespace deep3dmap

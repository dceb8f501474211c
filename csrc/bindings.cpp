// Python bindings of the kernels. Tensors are passed as DLPack arrays allocated by Python. deep3dmap.ops validates them with
// detailed error messages; the checks here only prevent out-of-bounds access in the kernels.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "checks.h"
#include "cpu/back_project.h"
#include "cpu/rasterize.h"
#include "cpu/tsdf.h"
#include "image_filter_bindings.h"
#include "neural_mesh_bindings.h"
#include "radiance_bindings.h"
#include "scene_bindings.h"
#include "soft_raster_bindings.h"
#include "sparse_bindings.h"
#if defined(DEEP3DMAP_CUDA)
#include "cuda/launch.h"
#endif

namespace nb = nanobind;
using namespace nb::literals;
using namespace deep3dmap;

namespace {

template <typename Device, typename T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, Device>;

template <typename Device, typename T>
using ArrayOrEmpty = nb::ndarray<T, nb::c_contig, Device>;

using Matrix = Array<nb::device::cpu, const float, 2>;
using Vector = Array<nb::device::cpu, const float, 1>;

// intrinsics: (3, 3). pose: (4, 4), camera_from_world. origin: (3,).
void set_camera(const Matrix& intrinsics, const Matrix& pose, const Vector& origin, TsdfFrame& frame, TsdfGrid& grid) {
  require(intrinsics.shape(0) == 3 && intrinsics.shape(1) == 3, "intrinsics must be (3, 3)");
  require(pose.shape(0) == 4 && pose.shape(1) == 4, "the pose must be (4, 4)");
  require(origin.shape(0) == 3, "origin must be (3,)");
  const float* k = intrinsics.data();
  frame.fx = k[0], frame.fy = k[4], frame.cx = k[2], frame.cy = k[5];
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column) frame.rotation[3 * row + column] = pose.data()[4 * row + column];
    frame.translation[row] = pose.data()[4 * row + 3];
    grid.origin[row] = origin.data()[row];
  }
}

// Shared by both devices; the handle of `launch` is the number of threads on the CPU and the stream on CUDA.
template <typename Device, typename Handle, void (*launch)(const TsdfGrid&, const TsdfFrame&, Handle)>
void integrate(Array<Device, float, 3> tsdf, Array<Device, float, 3> weight, ArrayOrEmpty<Device, float> color,
               Array<Device, const float, 2> depth, ArrayOrEmpty<Device, const float> image, Matrix intrinsics, Matrix camera_from_world,
               Vector origin, float voxel_size, float truncation, float max_depth, Handle handle) {
  // The kernel reads a pixel for every voxel, even if the value is not used.
  require(depth.size() > 0, "depth must have pixels");
  require_pixels(depth);
  // Beyond this size float32 cannot distinguish the last row from the next one.
  require(depth.shape(0) <= (1 << 24) && depth.shape(1) <= (1 << 24), "depth must be at most 2^24 pixels high and wide");
  require(weight.shape(0) == tsdf.shape(0) && weight.shape(1) == tsdf.shape(1) && weight.shape(2) == tsdf.shape(2),
          "weight must have the shape of tsdf");
  require(tsdf.shape(2) <= INT_MAX, "a column must have fewer than 2^31 voxels");
  require(color.size() == 0 || (color.size() == 3 * tsdf.size() && image.size() == 3 * depth.size()),
          "color must be (3, X, Y, Z), image (3, H, W)");
  TsdfGrid grid{};
  grid.tsdf = tsdf.data();
  grid.weight = weight.data();
  grid.color = color.size() ? color.data() : nullptr;
  grid.nx = tsdf.shape(0), grid.ny = tsdf.shape(1), grid.nz = tsdf.shape(2);
  grid.voxel_size = voxel_size, grid.truncation = truncation;
  TsdfFrame frame{};
  frame.depth = depth.data();
  frame.image = image.size() ? image.data() : nullptr;
  frame.height = static_cast<int>(depth.shape(0)), frame.width = static_cast<int>(depth.shape(1));
  set_camera(intrinsics, camera_from_world, origin, frame, grid);
  frame.max_depth = max_depth;
  nb::gil_scoped_release nogil;
  launch(grid, frame, handle);
}

// launch: called with the meshes and the output fragments.
template <typename Device, typename Launch>
void rasterize(const Array<Device, const float, 3>& vertices, const Array<Device, const int64_t, 2>& faces,
               const Array<Device, float, 3>& depth, const Array<Device, int64_t, 3>& face_id, const Array<Device, float, 4>& barycentrics,
               bool perspective, int cull, const Launch& launch) {
  require_mesh<Device>(vertices, faces, 1);
  require_fragments(vertices, depth, face_id, barycentrics);
  const RasterizeInput input{vertices.data(), faces.data(), size(vertices, 0), size(vertices, 1), size(faces, 0),
                             static_cast<int>(depth.shape(1)), static_cast<int>(depth.shape(2)), perspective, static_cast<Cull>(cull)};
  const Fragments out{depth.data(), face_id.data(), barycentrics.data()};
  nb::gil_scoped_release nogil;
  launch(input, out);
}

template <typename T, size_t N>
using OnCpu = Array<nb::device::cpu, T, N>;

void rasterize_on_cpu(OnCpu<const float, 3> vertices, OnCpu<const int64_t, 2> faces, OnCpu<float, 3> depth, OnCpu<int64_t, 3> face_id,
                      OnCpu<float, 4> barycentrics, bool perspective, int cull, int threads) {
  rasterize(vertices, faces, depth, face_id, barycentrics, perspective, cull,
            [&](const RasterizeInput& input, const Fragments& out) { cpu::rasterize(input, out, threads); });
}

template <typename Device, typename Maps>
BackProjectViews back_project_views(const Array<Device, const float, 3>& projection, const Array<Device, const float, 2>& positions,
                                    const Maps& maps) {
  const size_t height = maps.shape(1), width = maps.shape(2), channels = maps.shape(3);
  require(height >= 2 && width >= 2 && channels >= 1, "a feature map must have a channel and at least 2 x 2 pixels");
  require_pixels(maps, 1);
  require(maps.shape(0) == projection.shape(0) && maps.shape(0) <= INT_MAX && channels <= INT_MAX,
          "there must be one projection for each map");
  require(projection.shape(1) == 3 && projection.shape(2) == 4 && positions.shape(1) == 3,
          "projection must be (V, 3, 4), positions (N, 3)");
  return {projection.data(), positions.data(), static_cast<int64_t>(positions.shape(0)), static_cast<int>(projection.shape(0)),
          static_cast<int>(channels), static_cast<int>(height), static_cast<int>(width)};
}

template <typename Device, typename Handle, void (*launch)(const BackProjectViews&, const float*, const BackProjectResult&, Handle)>
void back_project_forward(Array<Device, const float, 4> features, Array<Device, const float, 3> projection,
                          Array<Device, const float, 2> positions, Array<Device, float, 2> mean, Array<Device, float, 1> depth,
                          Array<Device, int32_t, 1> seen, Handle handle) {
  const auto views = back_project_views<Device>(projection, positions, features);
  require(mean.shape(0) == positions.shape(0) && mean.shape(1) == features.shape(3) && depth.shape(0) == positions.shape(0) &&
              seen.shape(0) == positions.shape(0), "mean (N, C), depth (N,) and seen (N,) must fit positions and features");
  const BackProjectResult out{mean.data(), depth.data(), seen.data()};
  nb::gil_scoped_release nogil;
  launch(views, features.data(), out, handle);
}

template <typename Device, typename Handle, void (*launch)(const BackProjectViews&, const float*, const int32_t*, float*, Handle)>
void back_project_backward(Array<Device, const float, 2> grad_mean, Array<Device, const float, 3> projection,
                           Array<Device, const float, 2> positions, Array<Device, const int32_t, 1> seen,
                           Array<Device, float, 4> grad_features, Handle handle) {
  const auto views = back_project_views<Device>(projection, positions, grad_features);
  require(grad_mean.shape(0) == positions.shape(0) && grad_mean.shape(1) == grad_features.shape(3) &&
              seen.shape(0) == positions.shape(0), "grad_mean (N, C) and seen (N,) must fit positions and features");
  nb::gil_scoped_release nogil;
  launch(views, grad_mean.data(), seen.data(), grad_features.data(), handle);
}

#if defined(DEEP3DMAP_CUDA)
template <typename T, size_t N>
using OnCuda = Array<nb::device::cuda, T, N>;

void rasterize_on_cuda(OnCuda<const float, 3> vertices, OnCuda<const int64_t, 2> faces, OnCuda<int32_t, 1> scratch,
                       OnCuda<float, 3> depth, OnCuda<int64_t, 3> face_id, OnCuda<float, 4> barycentrics, bool perspective, int cull,
                       uint64_t stream) {
  require_scratch(scratch, vertices, faces);
  rasterize(vertices, faces, depth, face_id, barycentrics, perspective, cull, [&](const RasterizeInput& input, const Fragments& out) {
    cuda::rasterize(input, out, reinterpret_cast<uint32_t*>(scratch.data()), stream);
  });
}

void back_project_backward_fixed(OnCuda<const float, 2> grad_mean, OnCuda<const float, 3> projection, OnCuda<const float, 2> positions,
                                 OnCuda<const int32_t, 1> seen, OnCuda<int64_t, 4> sums, OnCuda<const float, 1> scale, uint64_t stream) {
  const auto views = back_project_views<nb::device::cuda>(projection, positions, sums);
  require(grad_mean.shape(0) == positions.shape(0) && grad_mean.shape(1) == sums.shape(3) && seen.shape(0) == positions.shape(0),
          "grad_mean (N, C) and seen (N,) must fit positions and sums");
  require(scale.shape(0) == 1, "there must be one scale");
  nb::gil_scoped_release nogil;
  cuda::back_project_backward_fixed(views, grad_mean.data(), seen.data(), sums.data(), scale.data(), stream);
}
#endif

template <typename Function>
void define_integrate(nb::module_& m, const char* name, Function function) {
  m.def(name, function, "tsdf"_a.noconvert(), "weight"_a.noconvert(), "color"_a.noconvert(), "depth"_a.noconvert(),
        "image"_a.noconvert(), "intrinsics"_a.noconvert(), "camera_from_world"_a.noconvert(), "origin"_a.noconvert(),
        "voxel_size"_a, "truncation"_a, "max_depth"_a, "handle"_a);
}

template <typename Function>
void define_back_project_forward(nb::module_& m, const char* name, Function function) {
  m.def(name, function, "features"_a.noconvert(), "projection"_a.noconvert(), "positions"_a.noconvert(), "mean"_a.noconvert(),
        "depth"_a.noconvert(), "seen"_a.noconvert(), "handle"_a);
}

template <typename Function>
void define_back_project_backward(nb::module_& m, const char* name, Function function) {
  m.def(name, function, "grad_mean"_a.noconvert(), "projection"_a.noconvert(), "positions"_a.noconvert(), "seen"_a.noconvert(),
        "grad_features"_a.noconvert(), "handle"_a);
}

}  // namespace

NB_MODULE(_native, m) {
  define_integrate(m, "integrate_cpu", &integrate<nb::device::cpu, int, cpu::integrate>);
  m.def("rasterize_cpu", &rasterize_on_cpu, "vertices"_a.noconvert(), "faces"_a.noconvert(), "depth"_a.noconvert(),
        "face_id"_a.noconvert(), "barycentrics"_a.noconvert(), "perspective"_a, "cull"_a, "threads"_a);
  define_back_project_forward(m, "back_project_forward_cpu",
      &back_project_forward<nb::device::cpu, int, cpu::back_project_forward>);
  define_back_project_backward(m, "back_project_backward_cpu",
      &back_project_backward<nb::device::cpu, int, cpu::back_project_backward>);
  define_image_filters(m);
  define_soft_raster(m);
  define_neural_mesh(m);
  define_sparse(m);
  define_radiance(m);
  define_scenes(m);
#if defined(DEEP3DMAP_CUDA)
  define_integrate(m, "integrate_cuda", &integrate<nb::device::cuda, uint64_t, cuda::integrate>);
  m.def("rasterize_cuda", &rasterize_on_cuda, "vertices"_a.noconvert(), "faces"_a.noconvert(), "scratch"_a.noconvert(),
        "depth"_a.noconvert(), "face_id"_a.noconvert(), "barycentrics"_a.noconvert(), "perspective"_a, "cull"_a, "stream"_a);
  define_back_project_forward(m, "back_project_forward_cuda",
      &back_project_forward<nb::device::cuda, uint64_t, cuda::back_project_forward>);
  define_back_project_backward(m, "back_project_backward_cuda",
      &back_project_backward<nb::device::cuda, uint64_t, cuda::back_project_backward>);
  m.def("back_project_backward_fixed_cuda", &back_project_backward_fixed, "grad_mean"_a.noconvert(), "projection"_a.noconvert(),
        "positions"_a.noconvert(), "seen"_a.noconvert(), "sums"_a.noconvert(), "scale"_a.noconvert(), "stream"_a);
#endif
}

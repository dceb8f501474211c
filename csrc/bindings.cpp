// The Python face of the kernels. Tensors cross as DLPack arrays that Python allocated; shapes are checked in deep3dmap.ops.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "cpu/rasterize.h"
#include "cpu/tsdf.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace deep3dmap;

namespace {

template <typename T, size_t N>
using Cpu = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

template <typename T>
using CpuAny = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

void copy(const Cpu<const float, 1>& from, float* to) {
  for (size_t i = 0; i < from.shape(0); ++i) to[i] = from.data()[i];
}

void integrate(Cpu<float, 3> tsdf, Cpu<float, 3> weight, CpuAny<float> color, Cpu<const float, 2> depth, CpuAny<const float> image,
               Cpu<const float, 1> intrinsics, Cpu<const float, 1> rotation, Cpu<const float, 1> translation,
               Cpu<const float, 1> origin, float voxel_size, float truncation, float max_depth, int threads) {
  TsdfGrid grid{};
  grid.tsdf = tsdf.data();
  grid.weight = weight.data();
  grid.color = color.size() ? color.data() : nullptr;
  grid.nx = tsdf.shape(0), grid.ny = tsdf.shape(1), grid.nz = tsdf.shape(2);
  grid.voxel_size = voxel_size, grid.truncation = truncation;
  copy(origin, grid.origin);
  TsdfFrame frame{};
  frame.depth = depth.data();
  frame.image = image.size() ? image.data() : nullptr;
  frame.height = static_cast<int>(depth.shape(0)), frame.width = static_cast<int>(depth.shape(1));
  const float* k = intrinsics.data();
  frame.fx = k[0], frame.fy = k[1], frame.cx = k[2], frame.cy = k[3];
  copy(rotation, frame.rotation);
  copy(translation, frame.translation);
  frame.max_depth = max_depth;
  nb::gil_scoped_release nogil;
  cpu::integrate(grid, frame, threads);
}

void rasterize(Cpu<const float, 2> vertices, Cpu<const int64_t, 2> faces, Cpu<float, 2> depth, Cpu<int64_t, 2> face_id,
               Cpu<float, 3> barycentrics, bool perspective, int cull, int threads) {
  const RasterizeInput input{vertices.data(), faces.data(), static_cast<int64_t>(faces.shape(0)), static_cast<int>(depth.shape(0)),
                             static_cast<int>(depth.shape(1)), perspective, static_cast<Cull>(cull)};
  const Fragments out{depth.data(), face_id.data(), barycentrics.data()};
  nb::gil_scoped_release nogil;
  cpu::rasterize(input, out, threads);
}

}  // namespace

NB_MODULE(_native, m) {
  m.def("integrate", &integrate, "tsdf"_a.noconvert(), "weight"_a.noconvert(), "color"_a.noconvert(), "depth"_a.noconvert(),
        "image"_a.noconvert(), "intrinsics"_a.noconvert(), "rotation"_a.noconvert(), "translation"_a.noconvert(), "origin"_a.noconvert(),
        "voxel_size"_a, "truncation"_a, "max_depth"_a, "threads"_a);
  m.def("rasterize", &rasterize, "vertices"_a.noconvert(), "faces"_a.noconvert(), "depth"_a.noconvert(), "face_id"_a.noconvert(),
        "barycentrics"_a.noconvert(), "perspective"_a, "cull"_a, "threads"_a);
}

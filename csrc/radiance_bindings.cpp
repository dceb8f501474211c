// Python bindings of the kernels of radiance fields; see csrc/cpu/{hash_grid,composite,march_rays}.h for the arguments.
#include "radiance_bindings.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "checks.h"
#include "cpu/composite.h"
#include "cpu/hash_grid.h"
#include "cpu/march_rays.h"
#if defined(DEEP3DMAP_CUDA)
#include "cuda/radiance.h"
#endif

namespace nb = nanobind;

namespace deep3dmap {
namespace {

template <typename Device, typename T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, Device>;
using Integers = std::vector<int64_t>;

// Rejects levels that would let a kernel read beyond the table.
HashGridLevels make_levels(const Integers& resolutions, const Integers& sizes, int64_t entries, int64_t features) {
  require(resolutions.size() == sizes.size() && !sizes.empty() && sizes.size() <= kHashGridMaxLevels, "there must be 1 to 32 levels");
  require(features >= 1 && features <= INT_MAX / kHashGridMaxLevels, "the number of features is out of range");
  HashGridLevels levels{};
  levels.count = static_cast<int>(sizes.size());
  levels.features = static_cast<int>(features);
  int64_t total = 0;
  for (int i = 0; i < levels.count; ++i) {
    require(resolutions[i] >= 1 && resolutions[i] < (1 << 20), "a resolution is out of range");
    const int64_t side = resolutions[i] + 1, size = sizes[i];
    require(size >= 1 && size <= (int64_t{1} << 31), "a size is out of range");
    levels.resolution[i] = static_cast<int>(resolutions[i]);
    levels.size[i] = static_cast<uint32_t>(size);
    levels.offset[i] = total;
    levels.hashed[i] = side * side * side > size;
    require(!levels.hashed[i] || (size & (size - 1)) == 0, "the size of a hashed level must be a power of two");
    total += size;
  }
  require(total == entries, "the table does not have as many entries as its levels need");
  return levels;
}

// Used for both devices: `Kernels` provides the functions, `Handle` is the number of threads or the stream.
template <typename Device, typename Handle, typename Kernels>
struct Face {
  template <typename T, size_t N>
  using Of = Array<Device, T, N>;
  using Floats = Of<const float, 1>;
  using Points = Of<const float, 2>;
  using Offsets = Of<const int64_t, 1>;

  template <typename Features>
  static void check_features(const HashGridLevels& levels, const Points& positions, const Features& features) {
    require(size(positions, 1) == 3 && size(features, 0) == size(positions, 0), "there must be one row of features for each position");
    require(size(features, 1) == levels.count * levels.features, "features do not have as many columns as the levels give");
  }

  static void forward(Points positions, Points table, Of<float, 2> output, const Integers& resolutions, const Integers& sizes,
                      Handle handle) {
    const HashGridLevels levels = make_levels(resolutions, sizes, size(table, 0), size(table, 1));
    check_features(levels, positions, output);
    nb::gil_scoped_release nogil;
    Kernels::hash_grid_forward(levels, positions.data(), size(positions, 0), table.data(), output.data(), handle);
  }

  static void backward_table(Points positions, Points grad_output, Of<float, 2> grad_table, const Integers& resolutions,
                             const Integers& sizes, Handle handle) {
    const HashGridLevels levels = make_levels(resolutions, sizes, size(grad_table, 0), size(grad_table, 1));
    check_features(levels, positions, grad_output);
    nb::gil_scoped_release nogil;
    Kernels::hash_grid_backward_table(levels, positions.data(), size(positions, 0), grad_output.data(), grad_table.data(), handle);
  }

  static void backward_positions(Points positions, Points table, Points grad_output, Of<float, 2> grad_positions,
                                 const Integers& resolutions, const Integers& sizes, Handle handle) {
    const HashGridLevels levels = make_levels(resolutions, sizes, size(table, 0), size(table, 1));
    check_features(levels, positions, grad_output);
    require(size(grad_positions, 0) == size(positions, 0) && size(grad_positions, 1) == 3,
            "grad_positions must have the shape of positions");
    nb::gil_scoped_release nogil;
    Kernels::hash_grid_backward_positions(levels, positions.data(), size(positions, 0), table.data(), grad_output.data(),
                                          grad_positions.data(), handle);
  }

  static CompositeSamples samples_of(const Floats& density, const Points& color, const Floats& distance, const Floats& length,
                                     const Offsets& offsets, float stop) {
    const int64_t samples = size(density, 0);
    require(size(color, 0) == samples && size(color, 1) == 3, "color must be (samples, 3)");
    require(size(distance, 0) == samples && size(length, 0) == samples, "there must be a distance and a length for each sample");
    require_non_decreasing<Device>(offsets, samples, "offsets must run from 0 to the number of samples without decreasing");
    return {density.data(), color.data(), distance.data(), length.data(), offsets.data(), size(offsets, 0) - 1, samples, stop};
  }

  // Results of compositing for each ray and sample, or their gradients.
  template <typename Colors, typename Values>
  static void check_composited(const CompositeSamples& samples, const Colors& color, const Values& depth, const Values& opacity,
                               const Values& weight) {
    require(size(color, 0) == samples.rays && size(color, 1) == 3, "the color of rays must be (rays, 3)");
    require(size(depth, 0) == samples.rays && size(opacity, 0) == samples.rays, "there must be a depth and an opacity for each ray");
    require(size(weight, 0) == samples.samples, "there must be a weight for each sample");
  }

  static void composite(Floats density, Points color, Floats distance, Floats length, Offsets offsets, Of<float, 2> out_color,
                        Of<float, 1> depth, Of<float, 1> opacity, Of<float, 1> weight, float stop, Handle handle) {
    const CompositeSamples samples = samples_of(density, color, distance, length, offsets, stop);
    check_composited(samples, out_color, depth, opacity, weight);
    nb::gil_scoped_release nogil;
    Kernels::composite_forward(samples, {out_color.data(), depth.data(), opacity.data(), weight.data()}, handle);
  }

  static void composite_backward(Floats density, Points color, Floats distance, Floats length, Offsets offsets, Points on_color,
                                 Floats on_depth, Floats on_opacity, Floats on_weight, Of<float, 1> grad_density,
                                 Of<float, 2> grad_color, float stop, Handle handle) {
    const CompositeSamples samples = samples_of(density, color, distance, length, offsets, stop);
    check_composited(samples, on_color, on_depth, on_opacity, on_weight);
    require(grad_density.shape(0) == density.shape(0) && grad_color.shape(0) == color.shape(0) && grad_color.shape(1) == 3,
            "grad_density and grad_color must have the shapes of density and color");
    nb::gil_scoped_release nogil;
    Kernels::composite_backward(samples, {on_color.data(), on_depth.data(), on_opacity.data(), on_weight.data()},
                                grad_density.data(), grad_color.data(), handle);
  }

  static MarchInput march_input(const Points& origins, const Points& directions, const Floats& near, const Floats& far,
                                const Floats& jitter, const Of<const uint8_t, 3>& occupied, bool contracted, float step,
                                float cone) {
    const int64_t rays = size(origins, 0), cells = size(occupied, 0);
    require(size(directions, 0) == rays && size(origins, 1) == 3 && size(directions, 1) == 3,
            "origins and directions must be (rays, 3)");
    require(size(near, 0) == rays && size(far, 0) == rays && size(jitter, 0) == rays,
            "there must be a near, a far and a jitter for each ray");
    require(size(occupied, 1) == cells && size(occupied, 2) == cells && cells <= INT_MAX, "occupied must be a cube");
    return {origins.data(), directions.data(), near.data(), far.data(), jitter.data(), occupied.data(), rays,
            static_cast<int>(cells), contracted, step, cone};
  }

  static void count(Points origins, Points directions, Floats near, Floats far, Floats jitter, Of<const uint8_t, 3> occupied,
                    Of<int64_t, 1> counts, bool contracted, float step, float cone, Handle handle) {
    const MarchInput input = march_input(origins, directions, near, far, jitter, occupied, contracted, step, cone);
    require(size(counts, 0) == input.rays, "there must be a count for each ray");
    nb::gil_scoped_release nogil;
    Kernels::march_count(input, counts.data(), handle);
  }

  static void fill(Points origins, Points directions, Floats near, Floats far, Floats jitter, Of<const uint8_t, 3> occupied,
                   Offsets offsets, Of<float, 1> distances, Of<float, 1> lengths, bool contracted, float step, float cone,
                   Handle handle) {
    const MarchInput input = march_input(origins, directions, near, far, jitter, occupied, contracted, step, cone);
    const int64_t samples = size(distances, 0);
    require(size(offsets, 0) == input.rays + 1, "there must be one offset more than rays");
    require(size(lengths, 0) == samples, "there must be a distance and a length for each sample");
    require_non_decreasing<Device>(offsets, samples, "offsets must run from 0 to the number of samples without decreasing");
    const MarchOutput out{offsets.data(), samples, distances.data(), lengths.data()};
    nb::gil_scoped_release nogil;
    Kernels::march_fill(input, out, handle);
  }
};

struct CpuKernels {
  static constexpr auto hash_grid_forward = cpu::hash_grid_forward;
  static constexpr auto hash_grid_backward_table = cpu::hash_grid_backward_table;
  static constexpr auto hash_grid_backward_positions = cpu::hash_grid_backward_positions;
  static constexpr auto composite_forward = cpu::composite_forward;
  static constexpr auto composite_backward = cpu::composite_backward;
  static constexpr auto march_count = cpu::march_count;
  static constexpr auto march_fill = cpu::march_fill;
};

#if defined(DEEP3DMAP_CUDA)
struct CudaKernels {
  static constexpr auto hash_grid_forward = cuda::hash_grid_forward;
  static constexpr auto hash_grid_backward_table = cuda::hash_grid_backward_table;
  static constexpr auto hash_grid_backward_positions = cuda::hash_grid_backward_positions;
  static constexpr auto composite_forward = cuda::composite_forward;
  static constexpr auto composite_backward = cuda::composite_backward;
  static constexpr auto march_count = cuda::march_count;
  static constexpr auto march_fill = cuda::march_fill;
};
#endif

auto array(const char* name) { return nb::arg(name).noconvert(); }

// Arrays are never converted by copying, because results written to a copy would be lost.
template <typename F>
void define_for(nb::module_& m, const std::string& device) {
  using A = nb::arg;
  m.def(("hash_grid_forward" + device).c_str(), &F::forward, array("positions"), array("table"), array("output"), A("resolutions"),
        A("sizes"), A("handle"));
  m.def(("hash_grid_backward_table" + device).c_str(), &F::backward_table, array("positions"), array("grad_output"),
        array("grad_table"), A("resolutions"), A("sizes"), A("handle"));
  m.def(("hash_grid_backward_positions" + device).c_str(), &F::backward_positions, array("positions"), array("table"),
        array("grad_output"), array("grad_positions"), A("resolutions"), A("sizes"), A("handle"));
  m.def(("composite_forward" + device).c_str(), &F::composite, array("density"), array("color"), array("distance"), array("length"),
        array("offsets"), array("out_color"), array("depth"), array("opacity"), array("weight"), A("stop"), A("handle"));
  m.def(("composite_backward" + device).c_str(), &F::composite_backward, array("density"), array("color"), array("distance"),
        array("length"), array("offsets"), array("on_color"), array("on_depth"), array("on_opacity"), array("on_weight"),
        array("grad_density"), array("grad_color"), A("stop"), A("handle"));
  m.def(("march_count" + device).c_str(), &F::count, array("origins"), array("directions"), array("near"), array("far"),
        array("jitter"), array("occupied"), array("counts"), A("contracted"), A("step"), A("cone"), A("handle"));
  m.def(("march_fill" + device).c_str(), &F::fill, array("origins"), array("directions"), array("near"), array("far"),
        array("jitter"), array("occupied"), array("offsets"), array("distances"), array("lengths"), A("contracted"), A("step"),
        A("cone"), A("handle"));
}

}  // namespace

#if defined(DEEP3DMAP_CUDA)
namespace {

void backward_table_fixed(Array<nb::device::cuda, const float, 2> positions, Array<nb::device::cuda, const float, 2> grad_output,
                          Array<nb::device::cuda, int64_t, 2> sums, Array<nb::device::cuda, const float, 1> scale,
                          const Integers& resolutions, const Integers& sizes, uint64_t stream) {
  const HashGridLevels levels = make_levels(resolutions, sizes, size(sums, 0), size(sums, 1));
  Face<nb::device::cuda, uint64_t, CudaKernels>::check_features(levels, positions, grad_output);
  require(scale.shape(0) == 1, "there must be one scale");
  nb::gil_scoped_release nogil;
  cuda::hash_grid_backward_table_fixed(levels, positions.data(), size(positions, 0), grad_output.data(), sums.data(), scale.data(),
                                       stream);
}

}  // namespace
#endif

void define_radiance(nb::module_& m) {
  define_for<Face<nb::device::cpu, int, CpuKernels>>(m, "_cpu");
#if defined(DEEP3DMAP_CUDA)
  define_for<Face<nb::device::cuda, uint64_t, CudaKernels>>(m, "_cuda");
  m.def("hash_grid_backward_table_fixed_cuda", &backward_table_fixed, array("positions"), array("grad_output"), array("sums"),
        array("scale"), nb::arg("resolutions"), nb::arg("sizes"), nb::arg("stream"));
#endif
}

}  // namespace deep3dmap

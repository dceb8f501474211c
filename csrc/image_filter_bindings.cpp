// Python bindings of the filters used by StyleGAN2.
#include "image_filter_bindings.h"

#include <nanobind/ndarray.h>

#include <algorithm>
#include <string>

#include "checks.h"
#include "cpu/leaky_relu.h"
#include "cpu/upfirdn2d.h"
#if defined(DEEP3DMAP_CUDA)
#include "cuda/image_filters.h"
#endif

namespace nb = nanobind;
using namespace nb::literals;

namespace deep3dmap {
namespace {

template <typename Device, typename T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, Device>;

template <typename Device, typename T>
using ArrayOrEmpty = nb::ndarray<T, nb::c_contig, Device>;

// Every position along the axis that a kernel computes, counted in upsampled samples, must fit an int.
FirAxis make_axis(size_t in, size_t out, size_t kernel, int64_t up, int64_t down, int64_t pad) {
  require(kernel >= 1 && out >= 1 && up >= 1 && down >= 1, "kernel, out, up and down must be at least 1");
  const bool small = in <= INT_MAX && out <= INT_MAX && kernel <= INT_MAX && up <= INT_MAX && down <= INT_MAX && pad >= -INT_MAX &&
                     pad <= INT_MAX;
  const int64_t from = small ? static_cast<int64_t>(in) * up : 0, to = small ? (static_cast<int64_t>(out) - 1) * down : 0;
  require(small && std::max(from, to) + static_cast<int64_t>(kernel) + up + (pad < 0 ? -pad : pad) <= INT_MAX,
          "a side must have fewer than 2^31 samples, including inserted zeros and padding");
  return {static_cast<int>(in), static_cast<int>(out), static_cast<int>(kernel), static_cast<int>(up), static_cast<int>(down),
          static_cast<int>(pad)};
}

template <typename Device, typename T, typename Handle, void (*launch)(const FirFilter&, const T*, const T*, T*, Handle)>
void upfirdn2d(Array<Device, const T, 3> in, Array<Device, const T, 2> kernel, Array<Device, T, 3> out, int64_t up_x, int64_t up_y,
               int64_t down_x, int64_t down_y, int64_t pad_x, int64_t pad_y, Handle handle) {
  require_pixels(kernel);
  require_pixels(out, 1);
  const FirFilter filter{static_cast<int64_t>(in.shape(0)),
                         make_axis(in.shape(1), out.shape(1), kernel.shape(0), up_y, down_y, pad_y),
                         make_axis(in.shape(2), out.shape(2), kernel.shape(1), up_x, down_x, pad_x)};
  require(out.shape(0) == in.shape(0), "in and out must have the same number of planes");
  nb::gil_scoped_release nogil;
  launch(filter, in.data(), kernel.data(), out.data(), handle);
}

template <typename Device, typename T, typename Handle, void (*launch)(const LeakyRelu<T>&, Handle)>
void leaky_relu(Array<Device, const T, 3> in, ArrayOrEmpty<Device, const T> bias, ArrayOrEmpty<Device, const T> like,
                Array<Device, T, 3> out, double slope, double gain, Handle handle) {
  require(bias.size() == 0 || bias.size() == in.shape(1), "bias must have one value for each channel");
  require(out.size() == in.size() && (like.size() == 0 || like.size() == in.size()), "in, like and out must have the same size");
  const LeakyRelu<T> layer{in.data(), bias.size() ? bias.data() : nullptr, like.size() ? like.data() : nullptr, out.data(),
                           static_cast<int64_t>(in.shape(0)), static_cast<int64_t>(in.shape(1)), static_cast<int64_t>(in.shape(2)),
                           static_cast<T>(slope), static_cast<T>(gain)};
  nb::gil_scoped_release nogil;
  launch(layer, handle);
}

template <typename Function>
void define_upfirdn2d(nb::module_& m, const char* name, Function function) {
  m.def(name, function, "in"_a.noconvert(), "kernel"_a.noconvert(), "out"_a.noconvert(), "up_x"_a, "up_y"_a, "down_x"_a, "down_y"_a,
        "pad_x"_a, "pad_y"_a, "handle"_a);
}

template <typename Function>
void define_leaky_relu(nb::module_& m, const char* name, Function function) {
  m.def(name, function, "in"_a.noconvert(), "bias"_a.noconvert(), "like"_a.noconvert(), "out"_a.noconvert(), "slope"_a, "gain"_a,
        "handle"_a);
}

}  // namespace

void define_image_filters(nb::module_& m) {
  using Cpu = nb::device::cpu;
  define_upfirdn2d(m, "upfirdn2d_cpu", &upfirdn2d<Cpu, float, int, cpu::upfirdn2d>);
  define_upfirdn2d(m, "upfirdn2d_cpu", &upfirdn2d<Cpu, double, int, cpu::upfirdn2d>);
  define_leaky_relu(m, "leaky_relu_cpu", &leaky_relu<Cpu, float, int, cpu::leaky_relu>);
  define_leaky_relu(m, "leaky_relu_cpu", &leaky_relu<Cpu, double, int, cpu::leaky_relu>);
#if defined(DEEP3DMAP_CUDA)
  using Cuda = nb::device::cuda;
  define_upfirdn2d(m, "upfirdn2d_cuda", &upfirdn2d<Cuda, float, uint64_t, cuda::upfirdn2d>);
  define_upfirdn2d(m, "upfirdn2d_cuda", &upfirdn2d<Cuda, double, uint64_t, cuda::upfirdn2d>);
  define_leaky_relu(m, "leaky_relu_cuda", &leaky_relu<Cuda, float, uint64_t, cuda::leaky_relu>);
  define_leaky_relu(m, "leaky_relu_cuda", &leaky_relu<Cuda, double, uint64_t, cuda::leaky_relu>);
#endif
}

}  // namespace deep3dmap

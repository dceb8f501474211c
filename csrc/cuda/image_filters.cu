#include "cuda/check.cuh"
#include "cuda/image_filters.h"

namespace deep3dmap::cuda {
namespace {

// One thread per output, consecutive along a row: a warp reads contiguous runs of the same rows.
template <typename T>
__global__ void filter_pixels(FirFilter filter, const T* __restrict__ in, const T* __restrict__ kernel, T* __restrict__ out) {
  const FirAxis y = filter.y, x = filter.x;
  const int64_t plane_out = static_cast<int64_t>(y.out) * x.out, plane_in = static_cast<int64_t>(y.in) * x.in;
  const int64_t items = filter.planes * plane_out, stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int last = y.kernel * x.kernel - 1;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < items; item += stride) {
    const int64_t plane = item / plane_out;
    const int pixel = static_cast<int>(item - plane * plane_out);
    const FirTaps rows = fir_taps(y, pixel / x.out), columns = fir_taps(x, pixel % x.out);
    T sum = 0;
    for (int i = 0; i < rows.count; ++i) {
      const T* line = in + plane * plane_in + static_cast<int64_t>(rows.first + i) * x.in + columns.first;
      // The kernel is applied as a convolution, so it is read from its end.
      const int tap = last - (rows.tap + i * y.up) * x.kernel - columns.tap;
      for (int j = 0; j < columns.count; ++j) sum += kernel[tap - j * x.up] * line[j];
    }
    out[item] = sum;
  }
}

template <typename T>
__global__ void leaky_values(LeakyRelu<T> layer) {
  const int64_t items = layer.outer * layer.channels * layer.inner, stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < items; item += stride) {
    const T bias = layer.bias ? layer.bias[item / layer.inner % layer.channels] : T(0), value = layer.in[item] + bias;
    layer.out[item] = leaky(value, layer.like ? layer.like[item] : value, layer.slope, layer.gain);
  }
}

template <typename T>
void launch_filter(const FirFilter& filter, const T* in, const T* kernel, T* out, uint64_t stream) {
  const int64_t items = filter.planes * filter.y.out * filter.x.out;
  if (items == 0) return;
  filter_pixels<<<blocks_for(items), kThreads, 0, as_stream(stream)>>>(filter, in, kernel, out);
  check_launch("upfirdn2d");
}

template <typename T>
void launch_leaky(const LeakyRelu<T>& layer, uint64_t stream) {
  const int64_t items = layer.outer * layer.channels * layer.inner;
  if (items == 0) return;
  leaky_values<<<blocks_for(items), kThreads, 0, as_stream(stream)>>>(layer);
  check_launch("leaky_relu");
}

}  // namespace

void upfirdn2d(const FirFilter& filter, const float* in, const float* kernel, float* out, uint64_t stream) {
  launch_filter(filter, in, kernel, out, stream);
}
void upfirdn2d(const FirFilter& filter, const double* in, const double* kernel, double* out, uint64_t stream) {
  launch_filter(filter, in, kernel, out, stream);
}

void leaky_relu(const LeakyRelu<float>& layer, uint64_t stream) { launch_leaky(layer, stream); }
void leaky_relu(const LeakyRelu<double>& layer, uint64_t stream) { launch_leaky(layer, stream); }

}  // namespace deep3dmap::cuda

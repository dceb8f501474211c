#include "cpu/leaky_relu.h"

namespace deep3dmap::cpu {
namespace {

// A contiguous run of values of one channel.
template <typename T>
DEEP3DMAP_HD void run_channel(const LeakyRelu<T>& layer, int64_t row) {
  const T* __restrict in = layer.in + row * layer.inner;
  T* __restrict out = layer.out + row * layer.inner;
  const T bias = layer.bias ? layer.bias[row % layer.channels] : T(0), slope = layer.slope, gain = layer.gain;
  if (layer.like) {
    const T* __restrict like = layer.like + row * layer.inner;
    for (int64_t i = 0; i < layer.inner; ++i) out[i] = leaky(in[i] + bias, like[i], slope, gain);
  } else {
    for (int64_t i = 0; i < layer.inner; ++i) out[i] = leaky(in[i] + bias, in[i] + bias, slope, gain);
  }
}

// inner == 1: vectorised over the channels.
template <typename T>
DEEP3DMAP_HD void run_vector(const LeakyRelu<T>& layer, int64_t row) {
  const int64_t channels = layer.channels;
  const T* __restrict in = layer.in + row * channels;
  const T* __restrict like = layer.like ? layer.like + row * channels : nullptr;
  T* __restrict out = layer.out + row * channels;
  for (int64_t i = 0; i < channels; ++i) {
    const T value = layer.bias ? in[i] + layer.bias[i] : in[i];
    out[i] = leaky(value, like ? like[i] : value, layer.slope, layer.gain);
  }
}

DEEP3DMAP_DISPATCH void run_row(const LeakyRelu<float>& layer, int64_t row) {
  layer.inner == 1 ? run_vector(layer, row) : run_channel(layer, row);
}

DEEP3DMAP_DISPATCH void run_row(const LeakyRelu<double>& layer, int64_t row) {
  layer.inner == 1 ? run_vector(layer, row) : run_channel(layer, row);
}

template <typename T>
void run_rows(const LeakyRelu<T>& layer, int threads) {
  const int64_t rows = layer.inner == 1 ? layer.outer : layer.outer * layer.channels;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t row = 0; row < rows; ++row) run_row(layer, row);
}

}  // namespace

void leaky_relu(const LeakyRelu<float>& layer, int threads) { run_rows(layer, threads); }
void leaky_relu(const LeakyRelu<double>& layer, int threads) { run_rows(layer, threads); }

}  // namespace deep3dmap::cpu

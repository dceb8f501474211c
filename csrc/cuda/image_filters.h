// CUDA launchers of the generators' image filters. Arguments as on the CPU (csrc/cpu), with all arrays on the device.
#pragma once

#include <cstdint>

#include "kernels/leaky_relu.h"
#include "kernels/upfirdn2d.h"

namespace deep3dmap::cuda {

void upfirdn2d(const FirFilter& filter, const float* in, const float* kernel, float* out, uint64_t stream);
void upfirdn2d(const FirFilter& filter, const double* in, const double* kernel, double* out, uint64_t stream);

void leaky_relu(const LeakyRelu<float>& layer, uint64_t stream);
void leaky_relu(const LeakyRelu<double>& layer, uint64_t stream);

}  // namespace deep3dmap::cuda

#pragma once

#include "kernels/upfirdn2d.h"

namespace deep3dmap::cpu {

// in: (planes, y.in, x.in); kernel: (y.kernel, x.kernel), applied as a convolution; out: (planes, y.out, x.out), overwritten.
void upfirdn2d(const FirFilter& filter, const float* in, const float* kernel, float* out, int threads);
void upfirdn2d(const FirFilter& filter, const double* in, const double* kernel, double* out, int threads);

}  // namespace deep3dmap::cpu

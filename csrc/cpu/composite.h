#pragma once

#include "kernels/composite.h"

namespace deep3dmap::cpu {

void composite_forward(const CompositeSamples& samples, const CompositeResult& out, int threads);
void composite_backward(const CompositeSamples& samples, const CompositeGradient& grad, float* grad_density, float* grad_color,
                        int threads);

}  // namespace deep3dmap::cpu

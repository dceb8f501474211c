#pragma once

#include "kernels/leaky_relu.h"

namespace deep3dmap::cpu {

// Overwrites the output.
void leaky_relu(const LeakyRelu<float>& layer, int threads);
void leaky_relu(const LeakyRelu<double>& layer, int threads);

}  // namespace deep3dmap::cpu

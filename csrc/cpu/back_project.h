#pragma once

#include "kernels/back_project.h"

namespace deep3dmap::cpu {

// features: (views, height, width, channels). Overwrites the result.
void back_project_forward(const BackProjectViews& views, const float* features, const BackProjectResult& out, int threads);

// grad_mean: (count, channels); seen: (count) from the forward pass; adds to grad_features (views, height, width, channels).
void back_project_backward(const BackProjectViews& views, const float* grad_mean, const int32_t* seen, float* grad_features,
                           int threads);

}  // namespace deep3dmap::cpu

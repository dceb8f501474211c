#pragma once

#include "kernels/rasterize_soft.h"

namespace deep3dmap::cpu {

// face_id: (height, width, faces_per_pixel), nearest first, -1 for no face.
void select_faces(const SoftInput& input, int64_t* face_id, int threads);

// Computes the values of given fragments; 0 where face_id is -1.
void evaluate_faces(const SoftInput& input, const int64_t* face_id, float* depth, float* barycentrics, float* distance, int threads);

// grad_vertices: (V, 3), zeroed by the caller.
void evaluate_faces_backward(const SoftInput& input, const int64_t* face_id, const float* grad_depth, const float* grad_barycentrics,
                             const float* grad_distance, float* grad_vertices, int threads);

}  // namespace deep3dmap::cpu

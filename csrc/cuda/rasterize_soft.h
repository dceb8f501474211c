// Launchers of the soft rasteriser on CUDA: as on the CPU (csrc/cpu/rasterize_soft.h), all arrays on the device.
#pragma once

#include "kernels/rasterize_soft.h"

namespace deep3dmap::cuda {

// Faces are looked at in groups of so many neighbours in the list, which a mesh keeps together in space as well.
constexpr int64_t kSoftGroup = 256;

// Writes all of face_id. boxes: scratch for one of each face, one of each group of faces, and one whose first number then says, by
// 1, that a face has a corner that is no vertex; such a face is left out.
void select_faces(const SoftInput& input, SoftBox* boxes, int64_t* face_id, uint64_t stream);

// Writes all of depth, barycentrics and distance.
void evaluate_faces(const SoftInput& input, const int64_t* face_id, float* depth, float* barycentrics, float* distance,
                    uint64_t stream);

struct SoftGradients {
  const float* depth;
  const float* barycentrics;
  const float* distance;
};

// cells: the numbers of the fragments sorted by their faces; those of face f are starts[f] to starts[f + 1]. corners: (F, 3, 3).
// Each face's fragments are summed in one fixed order.
void evaluate_faces_backward(const SoftInput& input, const int64_t* cells, const int64_t* starts, const SoftGradients& gradients,
                             float* corners, uint64_t stream);

// The same for fragments that select_faces has found with input's blur_radius, which needs no sorting: they lie within their face's
// reach.
void selected_faces_backward(const SoftInput& input, const int64_t* face_id, const SoftGradients& gradients, float* corners,
                             uint64_t stream);

}  // namespace deep3dmap::cuda

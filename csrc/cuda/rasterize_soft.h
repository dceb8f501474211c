// CUDA launchers of the soft rasteriser. Arguments as on the CPU (csrc/cpu/rasterize_soft.h), with all arrays on the device.
#pragma once

#include "kernels/rasterize_soft.h"

namespace deep3dmap::cuda {

// Number of consecutive faces in a group; consecutive faces of a mesh are usually close to each other in space.
constexpr int64_t kSoftGroup = 256;

// Overwrites face_id. boxes: scratch for one box per face, one per group of faces, and one whose first value is set to 1 if a
// face has an invalid corner index; such faces are skipped.
void select_faces(const SoftInput& input, SoftBox* boxes, int64_t* face_id, uint64_t stream);

// Overwrites depth, barycentrics and distance.
void evaluate_faces(const SoftInput& input, const int64_t* face_id, float* depth, float* barycentrics, float* distance,
                    uint64_t stream);

struct SoftGradients {
  const float* depth;
  const float* barycentrics;
  const float* distance;
};

// cells: indices of the fragments, sorted by face; those of face f are cells[starts[f]] to cells[starts[f + 1] - 1]. corners:
// (F, 3, 3). The fragments of each face are summed in a fixed order.
void evaluate_faces_backward(const SoftInput& input, const int64_t* cells, const int64_t* starts, const SoftGradients& gradients,
                             float* corners, uint64_t stream);

// The same for fragments found by select_faces with the blur_radius of `input`. These need no sorting, as they are within the
// reach of their face.
void selected_faces_backward(const SoftInput& input, const int64_t* face_id, const SoftGradients& gradients, float* corners,
                             uint64_t stream);

}  // namespace deep3dmap::cuda

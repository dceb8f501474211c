#pragma once

#include "kernels/neural_mesh.h"

namespace deep3dmap::cpu {

// The caller must initialise `out` to empty: depth 0, face_id -1, barycentrics 0.
void neural_mesh_faces(const NeuralMesh& mesh, const Fragments& out, int threads);

// Gradient (F, 3, 2) with respect to x and y of every face's corners, for a single image. The caller must zero `corners`; margins
// are in pixels.
void neural_mesh_edges_backward(const RasterizeInput& input, const NeuralPicture& picture, float* corners, double margin_x,
                                double margin_y, int threads);

// Gradient (images, F, 3, 3) of the depth with respect to every face's corners. The caller must zero `corners`.
void neural_mesh_depth_backward(const RasterizeInput& input, const SeenDepth& seen, float* corners, int threads);

}  // namespace deep3dmap::cpu

#pragma once

#include "kernels/neural_mesh.h"

namespace deep3dmap::cpu {

// `out` must come in empty: depth 0, face_id -1, barycentrics 0.
void neural_mesh_faces(const NeuralMesh& mesh, const Fragments& out, int threads);

// Gradient (F, 3, 2) to x and y of every face's corners. `corners` must come in zero; margins are pixels along x and y.
void neural_mesh_edges_backward(const RasterizeInput& input, const NeuralPicture& picture, float* corners, double margin_x,
                                double margin_y, int threads);

// Gradient (F, 3, 3) of the depth to every face's corners. `corners` must come in zero.
void neural_mesh_depth_backward(const RasterizeInput& input, const SeenDepth& seen, float* corners, int threads);

}  // namespace deep3dmap::cpu

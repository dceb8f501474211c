// CUDA launchers of the Neural 3D Mesh Renderer. Arguments as on the CPU (csrc/cpu/neural_mesh.h), with all arrays on the device.
#pragma once

#include <cstdint>

#include "kernels/neural_mesh.h"

namespace deep3dmap::cuda {

// scratch: images * face_count + 2 values.
void neural_mesh_faces(const NeuralMesh& mesh, const Fragments& out, uint32_t* scratch, uint64_t stream);
void neural_mesh_edges_backward(const RasterizeInput& input, const NeuralPicture& picture, float* corners, double margin_x,
                                double margin_y, uint64_t stream);
void neural_mesh_depth_backward(const RasterizeInput& input, const SeenDepth& seen, float* corners, uint64_t stream);

}  // namespace deep3dmap::cuda

#include "cuda/neural_mesh.h"

#include "cuda/check.cuh"
#include "cuda/depth_keys.cuh"

namespace deep3dmap::cuda {
namespace {

__device__ double warp_sum(double value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

struct DrawnDepth {
  NeuralMesh mesh;
  __device__ bool operator()(float depth) const { return is_drawn(mesh, depth); }
};

// The lanes of a warp share the pixels from `from` to `to`, both inclusive.
__device__ void visit(const NeuralPicture& picture, const EdgeCrossing& c, const PixelLine& pixels, int from, int to, int other,
                      int64_t own, double margin, double& start, double& end) {
  for (int place = from + static_cast<int>(threadIdx.x) % kWarp; place <= to; place += kWarp) {
    const int64_t pixel = pixels.first + place * pixels.step;
    if (own >= 0 && picture.face_id[pixel] != own) continue;
    const double delta = gain(picture, pixel, pixels.first + other * pixels.step);
    if (delta > 0.0) pull_edge(c, place, delta, margin, start, end);
  }
}

// One warp per face; the sums do not depend on the order in which warps run.
__global__ void follow_faces(RasterizeInput input, NeuralPicture picture, float* corners, double margin_x, double margin_y) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x / kWarp;
  for (int64_t face = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp; face < input.face_count; face += stride) {
    Triangle box;
    if (!set_up(input, face, box)) continue;
    const int64_t* index = input.faces + 3 * face;
    double sum[3][2] = {};
    for (int axis = 0; axis < 2; ++axis) {
      const double margin = axis == 0 ? margin_x : margin_y;
      const int low = axis == 0 ? box.left : box.top, high = (axis == 0 ? box.right : box.bottom) - 1;
      for (int start = 0; start < 3; ++start) {
        const int end = (start + 1) % 3;
        const AxisEdge edge = axis_edge(input.vertices + 3 * index[start], input.vertices + 3 * index[end], axis,
                                        axis == 0 ? picture.height : picture.width);
        for (int line = edge.first; line <= edge.last; ++line) {
          const PixelLine pixels = pixel_line(picture, axis, line);
          EdgeCrossing c;
          if (!cross(edge, line, pixels.length, c)) continue;
          const bool right = c.outward > 0;
          if (picture.face_id[pixels.first + c.inside * pixels.step] == face)
            visit(picture, c, pixels, right ? c.outside : 0, right ? pixels.length - 1 : c.outside, c.inside, -1, margin,
                  sum[start][axis], sum[end][axis]);
          visit(picture, c, pixels, right ? low : c.inside, right ? c.inside : high, c.outside, face, margin, sum[start][axis],
                sum[end][axis]);
        }
      }
    }
    for (int i = 0; i < 6; ++i) {
      const double whole = warp_sum(sum[i / 2][i % 2]);
      if (threadIdx.x % kWarp == 0) corners[6 * face + i] = static_cast<float>(whole);
    }
  }
}

// One warp per face, as above.
__global__ void spread_depth(RasterizeInput input, SeenDepth seen, float* corners) {
  const int lane = threadIdx.x % kWarp;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x / kWarp, faces = input.images * input.face_count;
  for (int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp; i < faces; i += stride) {
    double sum[9];
    sum_depth_gradients(input, seen, i / input.face_count, i % input.face_count, lane, kWarp, sum);
    for (int k = 0; k < 9; ++k) {
      const double whole = warp_sum(sum[k]);
      if (lane == 0) corners[9 * i + k] = static_cast<float>(whole);
    }
  }
}

}  // namespace

void neural_mesh_faces(const NeuralMesh& mesh, const Fragments& out, uint32_t* scratch, uint64_t stream) {
  draw(mesh.input, out, scratch, DrawnDepth{mesh}, stream, "neural_mesh_faces");
}

void neural_mesh_edges_backward(const RasterizeInput& input, const NeuralPicture& picture, float* corners, double margin_x,
                                double margin_y, uint64_t stream) {
  if (input.face_count == 0) return;
  follow_faces<<<blocks_for(input.face_count * kWarp), kThreads, 0, as_stream(stream)>>>(input, picture, corners, margin_x, margin_y);
  check_launch("neural_mesh_edges_backward");
}

void neural_mesh_depth_backward(const RasterizeInput& input, const SeenDepth& seen, float* corners, uint64_t stream) {
  const int64_t faces = input.images * input.face_count;
  if (faces == 0) return;
  spread_depth<<<blocks_for(faces * kWarp), kThreads, 0, as_stream(stream)>>>(input, seen, corners);
  check_launch("neural_mesh_depth_backward");
}

}  // namespace deep3dmap::cuda

#include "cpu/neural_mesh.h"

#include <algorithm>
#include <vector>

#include "cpu/draw_faces.h"

namespace deep3dmap::cpu {
namespace {

// The pixels of each line with a non-zero gradient, in order: only these can push an edge, and there are usually few of them.
class ActivePixels {
 public:
  ActivePixels(const NeuralPicture& picture, int axis) {
    const int lines = axis == 0 ? picture.height : picture.width;
    start_.reserve(lines + 1);
    start_.push_back(0);
    for (int line = 0; line < lines; ++line) {
      const PixelLine pixels = pixel_line(picture, axis, line);
      for (int i = 0; i < pixels.length; ++i)
        if (has_gradient(picture, pixels.first + i * pixels.step)) place_.push_back(i);
      start_.push_back(place_.size());
    }
  }
  const int* begin(int line) const { return place_.data() + start_[line]; }
  const int* end(int line) const { return place_.data() + start_[line + 1]; }

 private:
  static bool has_gradient(const NeuralPicture& picture, int64_t pixel) {
    const float* g = picture.gradient + pixel * picture.channels;
    return std::any_of(g, g + picture.channels, [](float value) { return value != 0.f; });
  }
  std::vector<int> place_;
  std::vector<size_t> start_;
};

// Indices of the visible faces of all images, in order: face `i % face_count` of image `i / face_count`.
std::vector<int64_t> seen_faces(const RasterizeInput& input, const int64_t* face_id) {
  std::vector<char> seen(input.images * input.face_count, 0);
  const int64_t pixels = pixel_count(input);
  for (int64_t i = 0; i < input.images * pixels; ++i)
    if (face_id[i] >= 0) seen[i / pixels * input.face_count + face_id[i]] = 1;
  std::vector<int64_t> list;
  for (int64_t i = 0; i < static_cast<int64_t>(seen.size()); ++i)
    if (seen[i]) list.push_back(i);
  return list;
}

struct EdgeSums {
  double start = 0.0, end = 0.0;
};

// `low` and `high` bound the face along the line; its pixels beyond the edge are within these bounds.
void cross_line(const NeuralPicture& picture, const ActivePixels& active, const EdgeCrossing& c, const PixelLine& pixels, int line,
                int64_t face, int low, int high, double margin, EdgeSums& sums) {
  const auto at = [&](int place) { return pixels.first + place * pixels.step; };
  const auto visit = [&](int from, int to, int other, bool own_only) {
    const int* end = active.end(line);
    for (const int* place = std::lower_bound(active.begin(line), end, from); place != end && *place <= to; ++place) {
      if (own_only && picture.face_id[at(*place)] != face) continue;
      const double delta = gain(picture, at(*place), at(other));
      if (delta > 0.0) pull_edge(c, *place, delta, margin, sums.start, sums.end);
    }
  };
  const bool right = c.outward > 0;
  if (picture.face_id[at(c.inside)] == face) visit(right ? c.outside : 0, right ? pixels.length - 1 : c.outside, c.inside, false);
  visit(right ? low : c.inside, right ? c.inside : high, c.outside, true);
}

void follow_face(const RasterizeInput& input, const NeuralPicture& picture, const ActivePixels (&active)[2], int64_t face,
                 const double* margin, float* corners) {
  Triangle box;
  if (!set_up(input, face, box)) return;
  const int low[2] = {box.left, box.top}, high[2] = {box.right - 1, box.bottom - 1};
  const int64_t* index = input.faces + 3 * face;
  double sum[3][2] = {};
  for (int axis = 0; axis < 2; ++axis) {
    for (int start = 0; start < 3; ++start) {
      const int end = (start + 1) % 3;
      const AxisEdge edge = axis_edge(input.vertices + 3 * index[start], input.vertices + 3 * index[end], axis,
                                      axis == 0 ? picture.height : picture.width);
      EdgeSums sums;
      EdgeCrossing c;
      for (int line = edge.first; line <= edge.last; ++line) {
        const PixelLine pixels = pixel_line(picture, axis, line);
        if (cross(edge, line, pixels.length, c))
          cross_line(picture, active[axis], c, pixels, line, face, low[axis], high[axis], margin[axis], sums);
      }
      sum[start][axis] += sums.start;
      sum[end][axis] += sums.end;
    }
  }
  for (int i = 0; i < 6; ++i) corners[6 * face + i] = static_cast<float>(sum[i / 2][i % 2]);
}

}  // namespace

void neural_mesh_faces(const NeuralMesh& mesh, const Fragments& out, int threads) {
  draw_faces(mesh.input, out, [&](float depth) { return is_drawn(mesh, depth); }, threads);
}

// Every face has its own sums, so the result does not depend on the number of threads.
void neural_mesh_edges_backward(const RasterizeInput& input, const NeuralPicture& picture, float* corners, double margin_x,
                                double margin_y, int threads) {
  const ActivePixels active[2] = {ActivePixels(picture, 0), ActivePixels(picture, 1)};
  const double margin[2] = {margin_x, margin_y};
  const auto faces = seen_faces(input, picture.face_id);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 64)
  for (int64_t i = 0; i < static_cast<int64_t>(faces.size()); ++i) follow_face(input, picture, active, faces[i], margin, corners);
}

void neural_mesh_depth_backward(const RasterizeInput& input, const SeenDepth& seen, float* corners, int threads) {
  const auto faces = seen_faces(input, seen.face_id);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 64)
  for (int64_t i = 0; i < static_cast<int64_t>(faces.size()); ++i) {
    double sum[9];
    sum_depth_gradients(input, seen, faces[i] / input.face_count, faces[i] % input.face_count, 0, 1, sum);
    for (int k = 0; k < 9; ++k) corners[9 * faces[i] + k] = static_cast<float>(sum[k]);
  }
}

}  // namespace deep3dmap::cpu

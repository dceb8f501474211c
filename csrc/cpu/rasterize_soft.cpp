#include "cpu/rasterize_soft.h"

#include <algorithm>
#include <vector>

namespace deep3dmap::cpu {
namespace {

// Bands do not depend on the number of threads, so neither does the order in which gradients are summed.
constexpr int kBands = 8;

int band_begin(int height, int band) { return static_cast<int>(static_cast<int64_t>(height) * band / kBands); }

// First and last + 1 of the pixels whose centres lie within [low, high].
void pixel_range(float low, float high, int limit, int& first, int& last) {
  const float a = std::ceil(low - 0.5f), b = std::floor(high - 0.5f) + 1.f;
  first = a <= 0.f ? 0 : (a >= static_cast<float>(limit) ? limit : static_cast<int>(a));
  last = b <= 0.f ? 0 : (b >= static_cast<float>(limit) ? limit : static_cast<int>(b));
}

// The K nearest of one pixel, ascending. Faces come in ascending order, so of equal depths the lower face stays in front.
void insert(float* depth, int64_t* face_id, int count, float value, int64_t face) {
  if (!(value < depth[count - 1])) return;
  int at = count - 1;
  for (; at > 0 && value < depth[at - 1]; --at) depth[at] = depth[at - 1], face_id[at] = face_id[at - 1];
  depth[at] = value, face_id[at] = face;
}

void draw_face(const SoftInput& input, const SoftFace& face, int64_t index, int top, int bottom, float* depths, int64_t* face_id) {
  const float blur = input.blur_radius, limit = blur * blur;
  int left, right, first, last;
  pixel_range(std::min({face.x[0], face.x[1], face.x[2]}) - blur, std::max({face.x[0], face.x[1], face.x[2]}) + blur, input.width, left,
              right);
  pixel_range(std::min({face.y[0], face.y[1], face.y[2]}) - blur, std::max({face.y[0], face.y[1], face.y[2]}) + blur, input.height, first,
              last);
  const int k = input.faces_per_pixel;
  for (int row = std::max(first, top); row < std::min(last, bottom); ++row) {
    for (int column = left; column < right; ++column) {
      const int64_t pixel = static_cast<int64_t>(row) * input.width + column;
      SoftSteps steps;
      const SoftFragment at = look_at_face(seen_from(face, column + 0.5f, row + 0.5f), input.perspective, input.clip, steps);
      if ((!at.inside && at.distance >= limit) || (input.perspective && at.depth < 0.f)) continue;
      insert(depths + (pixel - static_cast<int64_t>(top) * input.width) * k, face_id + pixel * k, k, at.depth, index);
    }
  }
}

}  // namespace

void select_faces(const SoftInput& input, int64_t* face_id, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int band = 0; band < kBands; ++band) {
    const int top = band_begin(input.height, band), bottom = band_begin(input.height, band + 1);
    const size_t cells = static_cast<size_t>(bottom - top) * input.width * input.faces_per_pixel;
    std::vector<float> depths(cells, INFINITY);
    SoftFace face;
    for (int64_t index = 0; index < input.face_count; ++index)
      if (load_face(input, index, face)) draw_face(input, face, index, top, bottom, depths.data(), face_id);
  }
}

void evaluate_faces(const SoftInput& input, const int64_t* face_id, float* depth, float* barycentrics, float* distance, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int row = 0; row < input.height; ++row) {
    for (int64_t cell = static_cast<int64_t>(row) * input.width * input.faces_per_pixel, end = cell + static_cast<int64_t>(input.width) * input.faces_per_pixel;
         cell < end; ++cell) {
      SoftFace face;
      if (face_id[cell] < 0 || !load_face(input, face_id[cell], face)) continue;
      const int column = static_cast<int>(cell / input.faces_per_pixel % input.width);
      SoftSteps steps;
      const SoftFragment at = look_at_face(seen_from(face, column + 0.5f, row + 0.5f), input.perspective, input.clip, steps);
      depth[cell] = at.depth, distance[cell] = at.distance;
      for (int i = 0; i < 3; ++i) barycentrics[3 * cell + i] = at.barycentric[i];
    }
  }
}

void evaluate_faces_backward(const SoftInput& input, const int64_t* face_id, const float* grad_depth, const float* grad_barycentrics,
                             const float* grad_distance, float* grad_vertices, int threads) {
  const size_t size = static_cast<size_t>(input.vertex_count) * 3;
  std::vector<float> sums(size * kBands, 0.f);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int band = 0; band < kBands; ++band) {
    float* mine = sums.data() + size * band;
    const int64_t per_row = static_cast<int64_t>(input.width) * input.faces_per_pixel;
    for (int64_t cell = band_begin(input.height, band) * per_row; cell < band_begin(input.height, band + 1) * per_row; ++cell) {
      SoftFace face;
      if (face_id[cell] < 0 || !load_face(input, face_id[cell], face)) continue;
      const int64_t pixel = cell / input.faces_per_pixel;
      SoftSteps steps;
      const SoftFace seen = seen_from(face, pixel % input.width + 0.5f, pixel / input.width + 0.5f);
      const SoftFragment at = look_at_face(seen, input.perspective, input.clip, steps);
      float grad[9] = {};
      face_gradient(seen, at, steps, input.perspective, input.clip, grad_depth[cell], grad_barycentrics + 3 * cell, grad_distance[cell],
                    grad);
      for (int i = 0; i < 9; ++i) mine[3 * input.faces[3 * face_id[cell] + i / 3] + i % 3] += grad[i];
    }
  }
  for (int band = 0; band < kBands; ++band)
    for (size_t i = 0; i < size; ++i) grad_vertices[i] += sums[size * band + i];
}

}  // namespace deep3dmap::cpu

#include "cpu/rasterize_soft.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace deep3dmap::cpu {
namespace {

// The bands, and thus the order in which gradients are summed, do not depend on the number of threads.
constexpr int kBands = 8;

int band_begin(int height, int band) { return static_cast<int>(static_cast<int64_t>(height) * band / kBands); }

// Inserts into the K nearest faces of a pixel, ascending. Faces are visited in ascending order, so at equal depth the lower index
// wins.
void insert(float* depth, int64_t* face_id, int count, float value, int64_t face) {
  if (!(value < depth[count - 1])) return;
  int at = count - 1;
  for (; at > 0 && value < depth[at - 1]; --at) depth[at] = depth[at - 1], face_id[at] = face_id[at - 1];
  depth[at] = value, face_id[at] = face;
}

// A face with all values that do not depend on the pixel; divisions are replaced by multiplications.
struct PreparedFace {
  SoftFace corner;
  float inverse_area, step_x[3], step_y[3], inverse_length[3], other_z[3];
  float reach[3];  // how far outside an edge a pixel may be, times the length of the edge
  SoftBox box;
};

PreparedFace prepare(const SoftInput& input, const SoftFace& f) {
  PreparedFace p;
  p.corner = f;
  p.inverse_area = 1.f / ((f.x[1] - f.x[0]) * (f.y[2] - f.y[0]) - (f.x[2] - f.x[0]) * (f.y[1] - f.y[0]));
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3, k = (i + 2) % 3;
    p.step_x[i] = f.x[j] - f.x[i], p.step_y[i] = f.y[j] - f.y[i];
    const float length = p.step_x[i] * p.step_x[i] + p.step_y[i] * p.step_y[i];
    p.inverse_length[i] = length > 0.f ? 1.f / length : 0.f;
    p.reach[i] = input.blur_radius * std::sqrt(length);
    p.other_z[i] = input.perspective ? f.z[j] * f.z[k] : 1.f;
  }
  p.box = soft_box(input, f);
  return p;
}

constexpr int kLanes = 8, kChunk = 4 * kLanes;

// Sort keys of a face at blocks * kLanes pixels of a row: depth, or the signed distance to the edge (by_distance = 1); infinite
// where the face is too far away. A branch-free loop over local values, which compilers vectorise; look_at_face computes the same
// for one pixel. least_barycentric: 0 to clip barycentrics, -infinity not to. least_depth: likewise.
DEEP3DMAP_DISPATCH void row_depths(const PreparedFace& face, float least_barycentric, float least_depth, float by_distance,
                                   float limit, float px, float py, int blocks, float* __restrict keys) {
  const SoftFace f = face.corner;
  const float X0 = f.x[0], X1 = f.x[1], X2 = f.x[2], z0 = f.z[0], z1 = f.z[1], z2 = f.z[2];
  const float y0 = f.y[0] - py, y1 = f.y[1] - py, y2 = f.y[2] - py, inverse_area = face.inverse_area;
  const float h0 = face.other_z[0], h1 = face.other_z[1], h2 = face.other_z[2];
  const float sx0 = face.step_x[0], sx1 = face.step_x[1], sx2 = face.step_x[2];
  const float sy0 = face.step_y[0], sy1 = face.step_y[1], sy2 = face.step_y[2];
  const float il0 = face.inverse_length[0], il1 = face.inverse_length[1], il2 = face.inverse_length[2];
  for (int c = 0; c < blocks * kLanes; ++c) {
    const float x = px + static_cast<float>(c), x0 = X0 - x, x1 = X1 - x, x2 = X2 - x;
    const float w0 = (x1 * y2 - y1 * x2) * inverse_area, w1 = (x2 * y0 - y2 * x0) * inverse_area;
    const float w2 = (x0 * y1 - y0 * x1) * inverse_area;
    const float w01 = w0 < w1 ? w0 : w1, smallest = w01 < w2 ? w01 : w2;
    float b0 = w0 * h0, b1 = w1 * h1, b2 = w2 * h2;
    // Flipping all signs leaves the quotients unchanged; clipping needs the sign after the division.
    const float turned = b0 + b1 + b2 < 0.f ? -1.f : 1.f;
    b0 *= turned, b1 *= turned, b2 *= turned;
    b0 = b0 < least_barycentric ? least_barycentric : b0;
    b1 = b1 < least_barycentric ? least_barycentric : b1;
    b2 = b2 < least_barycentric ? least_barycentric : b2;
    // Divided individually: at a shared corner both faces then have exactly its depth, and the face with the lower index stays in
    // front.
    const float sum = b0 + b1 + b2;
    const float z = b0 / sum * z0 + b1 / sum * z1 + b2 / sum * z2;
    float t0 = -(x0 * sx0 + y0 * sy0) * il0, t1 = -(x1 * sx1 + y1 * sy1) * il1, t2 = -(x2 * sx2 + y2 * sy2) * il2;
    t0 = t0 < 0.f ? 0.f : t0, t1 = t1 < 0.f ? 0.f : t1, t2 = t2 < 0.f ? 0.f : t2;
    t0 = t0 > 1.f ? 1.f : t0, t1 = t1 > 1.f ? 1.f : t1, t2 = t2 > 1.f ? 1.f : t2;
    const float ax = x0 + t0 * sx0, ay = y0 + t0 * sy0, bx = x1 + t1 * sx1, by = y1 + t1 * sy1;
    const float cx = x2 + t2 * sx2, cy = y2 + t2 * sy2;
    const float da = ax * ax + ay * ay, db = bx * bx + by * by, dc = cx * cx + cy * cy;
    const float dab = da < db ? da : db, near = dab < dc ? dab : dc;
    const float distance = smallest > 0.f ? -near : near;
    const float key = by_distance * distance + (1.f - by_distance) * z;
    const float seen = (smallest > 0.f ? -1.f : near) < limit ? key : INFINITY;
    keys[c] = z >= least_depth ? seen : INFINITY;
  }
}

// Narrows [left, right) to the part of a row that may be near the face: inside every edge, moved outwards by the blur radius.
void narrow_row(const PreparedFace& face, float py, int& left, int& right) {
  const float sign = face.inverse_area > 0.f ? 1.f : -1.f;
  float low = static_cast<float>(left), high = static_cast<float>(right);
  for (int i = 0; i < 3; ++i) {
    // sign * (step x (p - corner)) >= -reach, linear in the column.
    const float slope = -sign * face.step_y[i];
    const float rest = sign * face.step_x[i] * (py - face.corner.y[i]) + face.reach[i] - slope * (face.corner.x[i] - 0.5f);
    if (slope > 0.f) low = std::max(low, -rest / slope - 1.f);
    else if (slope < 0.f) high = std::min(high, -rest / slope + 2.f);
    else if (rest < -1e-3f * (1.f + face.reach[i])) high = low;
  }
  if (!(low < high)) {
    right = left;
    return;
  }
  left = std::max(left, static_cast<int>(low)), right = std::min(right, static_cast<int>(high));
}

void draw_face(const SoftInput& input, const PreparedFace& face, int64_t index, int top, int bottom, float* kept_keys, int64_t* face_id) {
  const float limit = input.blur_radius * input.blur_radius;
  const int k = input.faces_per_pixel;
  float row_keys[kChunk];
  for (int row = std::max(face.box.top, top); row < std::min(face.box.bottom, bottom); ++row) {
    int begin = face.box.left, end = face.box.right;
    narrow_row(face, row + 0.5f, begin, end);
    for (int left = begin; left < end; left += kChunk) {
      const int count = std::min(kChunk, end - left);
      row_depths(face, input.clip ? 0.f : -INFINITY, input.perspective ? 0.f : -INFINITY, input.by_distance ? 1.f : 0.f, limit,
                 left + 0.5f, row + 0.5f, (count + kLanes - 1) / kLanes, row_keys);
      const int64_t pixel = static_cast<int64_t>(row) * input.width + left;
      float* kept = kept_keys + pixel * k;
      for (int c = 0; c < count; ++c) insert(kept + c * k, face_id + (pixel + c) * k, k, row_keys[c], index);
    }
  }
}

}  // namespace

void select_faces(const SoftInput& input, int64_t* face_id, int threads) {
  // Allocated here, because an exception that escapes a parallel region terminates the process. Each band is filled by its own
  // thread.
  const int64_t per_row = static_cast<int64_t>(input.width) * input.faces_per_pixel;
  const std::unique_ptr<float[]> kept_keys(new float[static_cast<size_t>(input.height * per_row)]);
  std::vector<PreparedFace> faces(static_cast<size_t>(input.face_count));
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t index = 0; index < input.face_count; ++index) {
    SoftFace face;
    if (load_face(input, index, face)) faces[index] = prepare(input, face);
    else faces[index].box.top = faces[index].box.bottom = 0;
  }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int band = 0; band < kBands; ++band) {
    const int top = band_begin(input.height, band), bottom = band_begin(input.height, band + 1);
    std::fill_n(kept_keys.get() + top * per_row, (bottom - top) * per_row, INFINITY);
    for (int64_t index = 0; index < input.face_count; ++index)
      if (faces[index].box.top < bottom && faces[index].box.bottom > top)
        draw_face(input, faces[index], index, top, bottom, kept_keys.get(), face_id);
  }
}

void evaluate_faces(const SoftInput& input, const int64_t* face_id, float* depth, float* barycentrics, float* distance, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int row = 0; row < input.height; ++row) {
    const int64_t per_row = static_cast<int64_t>(input.width) * input.faces_per_pixel;
    for (int64_t cell = row * per_row; cell < (row + 1) * per_row; ++cell) {
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

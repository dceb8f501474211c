// The z-buffer shared by both hard rasterisers on the CPU.
#pragma once

#include <algorithm>
#include <numeric>

#include "kernels/rasterize.h"

namespace deep3dmap::cpu {

// Narrows [left, right) to the pixels of this row that may be inside the edge, with a margin of one pixel before the exact test.
inline void narrow(const Edge& edge, double value, int& left, int& right) {
  if (edge.a == 0.0) {
    if (value < 0.0) right = left;
    return;
  }
  const double root = -value / edge.a - 0.5;
  if (edge.a > 0.0) {
    if (root - 1.0 > left) left = root - 1.0 < right ? static_cast<int>(root - 1.0) : right;
  } else if (root + 2.0 < right) {
    right = root + 2.0 > left ? static_cast<int>(root + 2.0) : left;
  }
}

template <typename Drawn>
void draw_row(const Triangle& t, const RasterizeInput& input, const Fragments& out, int64_t face, int row, const Drawn& drawn) {
  double of_row[3];
  int left = t.left, right = t.right;
  for (int i = 0; i < 3; ++i) {
    of_row[i] = row_value(t.edge[i], row);
    narrow(t.edge[i], of_row[i], left, right);
  }
  for (int column = left; column < right; ++column) {
    double barycentric[3];
    if (!covers(t, of_row, column, barycentric)) continue;
    const int64_t pixel = static_cast<int64_t>(row) * input.width + column;
    float depth;
    if (!depth_at(t, input.perspective, barycentric, depth) || !drawn(depth)) continue;
    // Faces are visited in ascending order, so at equal depth the face with the lower index wins.
    if (out.face_id[pixel] >= 0 && depth >= out.depth[pixel]) continue;
    out.depth[pixel] = depth;
    out.face_id[pixel] = face;
    for (int i = 0; i < 3; ++i) out.barycentrics[3 * pixel + i] = static_cast<float>(barycentric[i]);
  }
}

template <typename Drawn>
void draw_band(const RasterizeInput& mesh, const Fragments& out, int top, int bottom, const Drawn& drawn) {
  Triangle triangle;
  for (int64_t face = 0; face < mesh.face_count; ++face) {
    if (!set_up(mesh, face, triangle)) continue;
    for (int row = std::max(triangle.top, top); row < std::min(triangle.bottom, bottom); ++row)
      draw_row(triangle, mesh, out, face, row, drawn);
  }
}

// Draws fragments at depths for which `drawn` returns true. Every image is cut into bands of rows, and a band is drawn by one
// thread, so the result does not depend on the number of threads. Every band sets up all faces, so an image has no more bands than
// it takes to give each thread equally many.
template <typename Drawn>
void draw_faces(const RasterizeInput& input, const Fragments& out, const Drawn& drawn, int threads) {
  const int64_t even = std::max(threads, 1) / std::gcd<int64_t>(std::max(threads, 1), input.images);
  const int64_t bands = std::max<int64_t>(1, std::min<int64_t>(even, input.height));
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int64_t i = 0; i < input.images * bands; ++i) {
    const int64_t image = i / bands, band = i % bands;
    const int top = static_cast<int>(input.height * band / bands), bottom = static_cast<int>(input.height * (band + 1) / bands);
    draw_band(mesh_of(input, image), image_of(out, image, pixel_count(input)), top, bottom, drawn);
  }
}

}  // namespace deep3dmap::cpu

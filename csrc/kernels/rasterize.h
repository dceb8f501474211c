// Triangle set-up and coverage for z-buffer rasterisation. Pixel (row, column) is sampled at (column + 0.5, row + 0.5).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

// e(x, y) = a x + b y + c; edge i is opposite corner i, and e >= 0 on the triangle's side.
struct Edge {
  double a, b, c;
};

struct Triangle {
  Edge edge[3];
  double z[3];                   // depth of the corners, or its inverse if interpolation is perspective-correct
  int left, right, top, bottom;  // pixels [left, right) x [top, bottom)
};

enum class Cull { none = 0, back = 1 };

// A batch of meshes with the same faces, each drawn into its own image. `set_up` and the rest of this file use the first mesh; see
// `mesh_of`.
struct RasterizeInput {
  const float* vertices;   // (images, V, 3): x, y in pixels, z depth
  const int64_t* faces;    // (F, 3)
  int64_t images, vertex_count, face_count;
  int height, width;
  bool perspective;
  Cull cull;
};

struct Fragments {
  float* depth;            // (images, height, width), 0 where empty
  int64_t* face_id;        // (images, height, width), -1 where empty
  float* barycentrics;     // (images, height, width, 3), 0 where empty
};

DEEP3DMAP_HD int64_t pixel_count(const RasterizeInput& input) { return static_cast<int64_t>(input.height) * input.width; }

// One mesh of the batch.
DEEP3DMAP_HD RasterizeInput mesh_of(const RasterizeInput& batch, int64_t image) {
  RasterizeInput mesh = batch;
  mesh.vertices += 3 * batch.vertex_count * image;
  mesh.images = 1;
  return mesh;
}

// The image of that mesh.
DEEP3DMAP_HD Fragments image_of(const Fragments& batch, int64_t image, int64_t pixels) {
  return {batch.depth + image * pixels, batch.face_id + image * pixels, batch.barycentrics + 3 * image * pixels};
}

// Both triangles at an edge evaluate it from its leftmost end, so its sign is exactly opposite for them and no pixel falls
// between. The end is chosen by position, not by index, so that seams with duplicated vertices stay closed as well.
DEEP3DMAP_HD Edge make_edge(const float* from, const float* to, double sign) {
  const bool swap = from[0] > to[0] || (from[0] == to[0] && from[1] > to[1]);
  const float* p = swap ? to : from;
  const float* q = swap ? from : to;
  const double a = static_cast<double>(p[1]) - q[1], b = static_cast<double>(q[0]) - p[0];
  const double c = -(a * p[0] + b * p[1]);
  const double s = swap ? -sign : sign;
  return {s * a, s * b, s * c};
}

DEEP3DMAP_HD int clamp_pixel(double value, int high) {
  return value <= 0.0 ? 0 : (value >= high ? high : static_cast<int>(value));
}

// Returns whether there is anything to draw. Triangles that are degenerate, non-finite or behind the camera are not drawn.
DEEP3DMAP_HD bool set_up(const RasterizeInput& input, int64_t index, Triangle& t) {
  const int64_t* face = input.faces + 3 * index;
  const bool perspective = input.perspective;
  const float* corner[3] = {input.vertices + 3 * face[0], input.vertices + 3 * face[1], input.vertices + 3 * face[2]};
  for (int i = 0; i < 3; ++i) {
    if (!std::isfinite(corner[i][0]) || !std::isfinite(corner[i][1]) || !std::isfinite(corner[i][2])) return false;
    if (perspective && corner[i][2] <= 0.f) return false;
    t.z[i] = perspective ? 1.0 / corner[i][2] : corner[i][2];
  }
  const double area = (static_cast<double>(corner[1][0]) - corner[0][0]) * (static_cast<double>(corner[2][1]) - corner[0][1]) -
                      (static_cast<double>(corner[2][0]) - corner[0][0]) * (static_cast<double>(corner[1][1]) - corner[0][1]);
  // y points down, so a triangle that is counter-clockwise to the viewer has a negative area.
  if (area == 0.0 || (input.cull == Cull::back && area > 0.0)) return false;
  const double sign = area > 0.0 ? 1.0 : -1.0;
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3, k = (i + 2) % 3;
    t.edge[i] = make_edge(corner[j], corner[k], sign);
  }
  const double x0 = fmin(fmin(corner[0][0], corner[1][0]), corner[2][0]), x1 = fmax(fmax(corner[0][0], corner[1][0]), corner[2][0]);
  const double y0 = fmin(fmin(corner[0][1], corner[1][1]), corner[2][1]), y1 = fmax(fmax(corner[0][1], corner[1][1]), corner[2][1]);
  t.left = clamp_pixel(ceil(x0 - 0.5), input.width);
  t.right = clamp_pixel(floor(x1 - 0.5) + 1.0, input.width);
  t.top = clamp_pixel(ceil(y0 - 0.5), input.height);
  t.bottom = clamp_pixel(floor(y1 - 0.5) + 1.0, input.height);
  return t.left < t.right && t.top < t.bottom;
}

DEEP3DMAP_HD double row_value(const Edge& edge, int row) { return edge.b * (row + 0.5) + edge.c; }

// Computes the edge values at a pixel from those of its row; returns whether the triangle covers its centre.
DEEP3DMAP_HD bool covers(const Triangle& t, const double* of_row, int column, double* value) {
  bool covered = true;
  for (int i = 0; i < 3; ++i) {
    value[i] = t.edge[i].a * (column + 0.5) + of_row[i];
    covered &= value[i] >= 0.0;
  }
  return covered;
}

// Computes the depth at a covered sample and converts the edge values to barycentrics, perspective-correct on request. They are
// normalised by their own sum instead of the area, so that they add up to 1 even for very thin triangles. Returns false if it is 0.
DEEP3DMAP_HD bool depth_at(const Triangle& t, bool perspective, double* value, float& depth) {
  const double sum = value[0] + value[1] + value[2];
  if (!(sum > 0.0)) return false;
  if (perspective) {
    for (int i = 0; i < 3; ++i) value[i] *= t.z[i];
    const double inverse = 1.0 / (value[0] + value[1] + value[2]);
    depth = static_cast<float>(sum * inverse);
    for (int i = 0; i < 3; ++i) value[i] *= inverse;
  } else {
    const double inverse = 1.0 / sum;
    for (int i = 0; i < 3; ++i) value[i] *= inverse;
    depth = static_cast<float>(value[0] * t.z[0] + value[1] * t.z[1] + value[2] * t.z[2]);
  }
  return true;
}

}  // namespace deep3dmap

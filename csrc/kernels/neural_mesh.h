// The Neural 3D Mesh Renderer (Kato et al., CVPR 2018): z-buffer and both gradients, shared by all devices. Pixel (row, column) is
// sampled at (column + 0.5, row + 0.5), y points down, and front faces are counter-clockwise.
#pragma once

#include "kernels/rasterize.h"

namespace deep3dmap {

struct NeuralMesh {
  RasterizeInput input;  // with Cull::back
  float near, far;       // range of depths drawn, exclusive
};

// An image and the gradient of the loss with respect to it; C channels, last index fastest.
struct NeuralPicture {
  const int64_t* face_id;  // (height, width)
  const float* image;      // (height, width, C)
  const float* gradient;   // (height, width, C)
  int height, width, channels;
};

// The rendered fragments and the gradient of the loss with respect to their depth.
struct SeenDepth {
  const int64_t* face_id;     // (images, height, width)
  const float* depth;         // (images, height, width)
  const float* barycentrics;  // (images, height, width, 3)
  const float* gradient;      // (images, height, width)
};

DEEP3DMAP_HD bool is_drawn(const NeuralMesh& mesh, float depth) { return depth > mesh.near && depth < mesh.far; }

// Pixels of one row (axis 0: corners move along x) or column (axis 1).
struct PixelLine {
  int64_t first, step;
  int length;
};

DEEP3DMAP_HD PixelLine pixel_line(const NeuralPicture& p, int axis, int line) {
  if (axis == 0) return {static_cast<int64_t>(line) * p.width, 1, p.width};
  return {line, p.width, p.height};
}

// Crossing of an edge with a line: `place` is the crossing in pixels, the shares are the corner motion per motion of the crossing.
struct EdgeCrossing {
  double place, start_share, end_share;  // 0 if moving that corner does not move the crossing
  int inside, outside, outward;
};

struct AxisEdge {
  double s0, s1, p0, p1;  // across and along the lines, with pixel centres at integers
  int outward;
  int first, last;  // range of crossed lines
};

// Lines of pixel centres that an edge crosses; none if it is parallel to them.
DEEP3DMAP_HD AxisEdge axis_edge(const float* start, const float* end, int axis, int lines) {
  AxisEdge e{start[1 - axis] - 0.5, end[1 - axis] - 0.5, start[axis] - 0.5, end[axis] - 0.5, 0, 0, -1};
  if (e.s0 == e.s1) return e;
  e.outward = (axis == 0) == (e.s0 > e.s1) ? 1 : -1;
  const double low = fmax(ceil(fmin(e.s0, e.s1)), 0.0), high = fmin(floor(fmax(e.s0, e.s1)), lines - 1.0);
  if (low <= high) e.first = static_cast<int>(low), e.last = static_cast<int>(high);
  return e;
}

// Returns false if the crossing or the pixel beyond it is outside the image.
DEEP3DMAP_HD bool cross(const AxisEdge& e, int line, int length, EdgeCrossing& c) {
  c.place = (e.p1 - e.p0) / (e.s1 - e.s0) * (line - e.s0) + e.p0;
  const double inside = e.outward > 0 ? floor(c.place) : ceil(c.place), outside = inside + e.outward;
  if (!(inside >= 0.0 && inside < length && outside >= 0.0 && outside < length)) return false;
  c.inside = static_cast<int>(inside), c.outside = static_cast<int>(outside), c.outward = e.outward;
  c.start_share = e.s1 != line ? (e.s1 - e.s0) / (e.s1 - line) : 0.0;
  c.end_share = e.s0 != line ? (e.s1 - e.s0) / (line - e.s0) : 0.0;
  return true;
}

// Decrease of the loss if the pixel took the other's colour (first order); the paper ignores increases.
DEEP3DMAP_HD double gain(const NeuralPicture& p, int64_t pixel, int64_t other) {
  double delta = 0.0;
  for (int c = 0; c < p.channels; ++c)
    delta += (static_cast<double>(p.image[pixel * p.channels + c]) - p.image[other * p.channels + c]) *
             p.gradient[pixel * p.channels + c];
  return delta;
}

DEEP3DMAP_HD void push(double delta, double distance, double margin, double& gradient) {
  gradient -= delta / (std::signbit(distance) ? distance - margin : distance + margin);
}

// Adds the contribution of one pixel to the gradient of both corners of the edge.
DEEP3DMAP_HD void pull_edge(const EdgeCrossing& c, int pixel, double delta, double margin, double& start, double& end) {
  double offset = pixel - c.place;
  // A pixel exactly on the edge counts as inside.
  if (offset == 0.0) offset = c.outward > 0 ? -0.0 : 0.0;
  if (c.start_share != 0.0) push(delta, offset * c.start_share, margin, start);
  if (c.end_share != 0.0) push(delta, offset * c.end_share, margin, end);
}

// d depth / d corner of a pixel with fixed visibility: moving corner k by v is equivalent to shifting the depth field by w_k v.
struct DepthField {
  double slope[2];  // of 1 / depth if perspective, otherwise of depth
  double z[3];
  bool perspective;
};

DEEP3DMAP_HD void depth_field(const RasterizeInput& input, int64_t face, DepthField& field) {
  const int64_t* index = input.faces + 3 * face;
  const float* corner[3] = {input.vertices + 3 * index[0], input.vertices + 3 * index[1], input.vertices + 3 * index[2]};
  const double ax = static_cast<double>(corner[1][0]) - corner[0][0], ay = static_cast<double>(corner[1][1]) - corner[0][1];
  const double bx = static_cast<double>(corner[2][0]) - corner[0][0], by = static_cast<double>(corner[2][1]) - corner[0][1];
  double value[3];
  for (int k = 0; k < 3; ++k) {
    field.z[k] = corner[k][2];
    value[k] = input.perspective ? 1.0 / field.z[k] : field.z[k];
  }
  const double u = value[1] - value[0], v = value[2] - value[0], area = ax * by - bx * ay;
  field.slope[0] = (u * by - v * ay) / area;
  field.slope[1] = (v * ax - u * bx) / area;
  field.perspective = input.perspective;
}

// Adds a pixel's gradient to the corners (3, 3) of its face.
DEEP3DMAP_HD void add_depth_gradient(const DepthField& f, const SeenDepth& seen, int64_t pixel, double* corners) {
  const double depth = seen.depth[pixel], gradient = seen.gradient[pixel];
  for (int k = 0; k < 3; ++k) {
    const double b = seen.barycentrics[3 * pixel + k];
    const double slide = f.perspective ? depth * b * f.z[k] : -b;
    corners[3 * k] += gradient * slide * f.slope[0];
    corners[3 * k + 1] += gradient * slide * f.slope[1];
    corners[3 * k + 2] += gradient * (f.perspective ? b * depth / f.z[k] : b);
  }
}

// Sums the gradients of the corners (3, 3) of a face of one image of the batch, over every `step`-th pixel of its rows.
DEEP3DMAP_HD void sum_depth_gradients(const RasterizeInput& input, const SeenDepth& seen, int64_t image, int64_t face, int first, int step,
                                      double* corners) {
  for (int k = 0; k < 9; ++k) corners[k] = 0.0;
  const RasterizeInput mesh = mesh_of(input, image);
  Triangle box;
  if (!set_up(mesh, face, box)) return;
  DepthField field;
  depth_field(mesh, face, field);
  for (int row = box.top; row < box.bottom; ++row) {
    const int64_t of_row = image * pixel_count(input) + static_cast<int64_t>(row) * input.width;
    for (int column = box.left + first; column < box.right; column += step)
      if (seen.face_id[of_row + column] == face) add_depth_gradient(field, seen, of_row + column, corners);
  }
}

}  // namespace deep3dmap

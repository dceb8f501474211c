// Fragment of a face at a pixel, and its derivative: SoftRas (Liu et al., ICCV 2019) as computed by PyTorch3D, in pixels.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

constexpr float kNoArea = 1e-3f;      // twice the area in pixels, below which float32 cannot locate a pixel
constexpr float kNearest = 1e-8f;     // a face with a corner closer than this is not drawn
constexpr float kLeastClipped = 1e-5f;

struct SoftInput {
  const float* vertices;  // (V, 3): x, y in pixels, z depth
  const int64_t* faces;   // (F, 3)
  int64_t vertex_count, face_count;
  int height, width, faces_per_pixel;
  float blur_radius;  // pixels
  bool perspective, clip;
  int cull;          // 1: skip faces that are clockwise in the image
  bool by_distance;  // order in which faces are kept: by depth if false, by signed edge distance if true
};

struct SoftFace {
  float x[3], y[3], z[3];  // corners; x and y relative to the point passed to the last call of `seen_from`
};

// Values of a face at a pixel.
struct SoftFragment {
  float depth, distance;  // distance: squared, in pixels, negative inside
  float barycentric[3];
  bool inside;
};

// Intermediate values, kept for the derivative.
struct SoftSteps {
  float area, weight[3], corrected[3], clipped_sum, perspective_sum;
  float along;  // parameter of the nearest point on its edge
  int edge;     // from corner `edge` to the next
};

DEEP3DMAP_HD bool load_face(const SoftInput& input, int64_t index, SoftFace& face) {
  const int64_t* corner = input.faces + 3 * index;
  for (int i = 0; i < 3; ++i) {
    const float* v = input.vertices + 3 * corner[i];
    if (!std::isfinite(v[0]) || !std::isfinite(v[1]) || !std::isfinite(v[2])) return false;
    if (input.perspective && v[2] < kNearest) return false;
    face.x[i] = v[0], face.y[i] = v[1], face.z[i] = v[2];
  }
  const float area = (face.x[1] - face.x[0]) * (face.y[2] - face.y[0]) - (face.x[2] - face.x[0]) * (face.y[1] - face.y[0]);
  return fabsf(area) > kNoArea && !(input.cull == 1 && area > 0.f);
}

DEEP3DMAP_HD SoftFace seen_from(const SoftFace& face, float px, float py) {
  SoftFace seen = face;
  for (int i = 0; i < 3; ++i) seen.x[i] -= px, seen.y[i] -= py;
  return seen;
}

// Squared distance from the origin to the nearest of the three edges.
DEEP3DMAP_HD float edge_distance(const SoftFace& f, SoftSteps& steps) {
  float best = INFINITY;
  // If the squares overflow, no edge compares nearer and the first one is used.
  steps.edge = 0, steps.along = 0.f;
  for (int i = 0; i < 3; ++i) {
    const int j = i == 2 ? 0 : i + 1;
    const float dx = f.x[j] - f.x[i], dy = f.y[j] - f.y[i], length = dx * dx + dy * dy;
    float t = length > 0.f ? -(f.x[i] * dx + f.y[i] * dy) / length : 1.f;
    t = t < 0.f ? 0.f : (t > 1.f ? 1.f : t);
    const float x = f.x[i] + t * dx, y = f.y[i] + t * dy, distance = x * x + y * y;
    if (distance < best) best = distance, steps.edge = i, steps.along = t;
  }
  return best;
}

// Pixels within reach of a face: [left, right) x [top, bottom).
struct SoftBox {
  int left, right, top, bottom;
};

// First and last + 1 of the pixels whose centres are within [low, high].
DEEP3DMAP_HD void pixel_range(float low, float high, int limit, int& first, int& last) {
  const float a = ceilf(low - 0.5f), b = floorf(high - 0.5f) + 1.f;
  // Written so that NaN gives 0.
  first = !(a > 0.f) ? 0 : (a >= static_cast<float>(limit) ? limit : static_cast<int>(a));
  last = !(b > 0.f) ? 0 : (b >= static_cast<float>(limit) ? limit : static_cast<int>(b));
}

DEEP3DMAP_HD SoftBox soft_box(const SoftInput& input, const SoftFace& f) {
  const float blur = input.blur_radius;
  SoftBox box;
  pixel_range(fminf(fminf(f.x[0], f.x[1]), f.x[2]) - blur, fmaxf(fmaxf(f.x[0], f.x[1]), f.x[2]) + blur, input.width, box.left,
              box.right);
  pixel_range(fminf(fminf(f.y[0], f.y[1]), f.y[2]) - blur, fmaxf(fmaxf(f.y[0], f.y[1]), f.y[2]) + blur, input.height, box.top,
              box.bottom);
  return box;
}

// `f` is relative to the centre of the pixel.
DEEP3DMAP_HD SoftFragment look_at_face(const SoftFace& f, bool perspective, bool clip, SoftSteps& s) {
  SoftFragment out;
  float edge[3];
  for (int i = 0; i < 3; ++i) {
    const int a = i == 2 ? 0 : i + 1, b = a == 2 ? 0 : a + 1;
    edge[i] = f.x[a] * f.y[b] - f.y[a] * f.x[b];
  }
  s.area = edge[0] + edge[1] + edge[2];
  for (int i = 0; i < 3; ++i) s.weight[i] = edge[i] / s.area;
  out.inside = s.weight[0] > 0.f && s.weight[1] > 0.f && s.weight[2] > 0.f;
  s.perspective_sum = 1.f;
  for (int i = 0; i < 3; ++i) s.corrected[i] = s.weight[i];
  if (perspective) {
    const float top[3] = {s.weight[0] * f.z[1] * f.z[2], s.weight[1] * f.z[0] * f.z[2], s.weight[2] * f.z[0] * f.z[1]};
    const float sum = top[0] + top[1] + top[2];
    s.perspective_sum = fabsf(sum) > 1e-12f ? sum : 1e-12f;
    for (int i = 0; i < 3; ++i) s.corrected[i] = top[i] / s.perspective_sum;
  }
  s.clipped_sum = 1.f;
  for (int i = 0; i < 3; ++i) out.barycentric[i] = clip ? fmaxf(s.corrected[i], 0.f) : s.corrected[i];
  if (clip) {
    s.clipped_sum = fmaxf(out.barycentric[0] + out.barycentric[1] + out.barycentric[2], kLeastClipped);
    for (int i = 0; i < 3; ++i) out.barycentric[i] /= s.clipped_sum;
  }
  out.depth = out.barycentric[0] * f.z[0] + out.barycentric[1] * f.z[1] + out.barycentric[2] * f.z[2];
  const float distance = edge_distance(f, s);
  out.distance = out.inside ? -distance : distance;
  return out;
}

// Sort key of a face at a pixel; infinite if it is too far away.
DEEP3DMAP_HD float soft_key(const SoftInput& input, const SoftFragment& at) {
  const bool near = at.inside || at.distance < input.blur_radius * input.blur_radius;
  const bool before = at.depth >= (input.perspective ? 0.f : -INFINITY);
  return near && before ? (input.by_distance ? at.distance : at.depth) : INFINITY;
}

// Adds the gradient with respect to the corners to `grad` (3 corners, x y z), given those of depth, barycentrics and distance.
DEEP3DMAP_HD void face_gradient(const SoftFace& f, const SoftFragment& at, const SoftSteps& s, bool perspective, bool clip,
                                float grad_depth, const float* grad_barycentric, float grad_distance, float* grad) {
  float g[3];
  for (int i = 0; i < 3; ++i) {
    g[i] = grad_barycentric[i] + grad_depth * f.z[i];
    grad[3 * i + 2] += grad_depth * at.barycentric[i];
  }
  if (clip) {
    const float mean = s.clipped_sum > kLeastClipped
                           ? g[0] * at.barycentric[0] + g[1] * at.barycentric[1] + g[2] * at.barycentric[2] : 0.f;
    for (int i = 0; i < 3; ++i) g[i] = s.corrected[i] > 0.f ? (g[i] - mean) / s.clipped_sum : 0.f;
  }
  if (perspective) {
    const float mean = g[0] * s.corrected[0] + g[1] * s.corrected[1] + g[2] * s.corrected[2];
    for (int i = 0; i < 3; ++i) g[i] = (g[i] - mean) / s.perspective_sum;
    const float pulled[3] = {g[0] * s.weight[0], g[1] * s.weight[1], g[2] * s.weight[2]};
    for (int i = 0; i < 3; ++i) {
      const int j = (i + 1) % 3, k = (i + 2) % 3;
      grad[3 * i + 2] += pulled[j] * f.z[k] + pulled[k] * f.z[j];
    }
    const float scaled[3] = {g[0] * f.z[1] * f.z[2], g[1] * f.z[0] * f.z[2], g[2] * f.z[0] * f.z[1]};
    for (int i = 0; i < 3; ++i) g[i] = scaled[i];
  }
  const float mean = g[0] * s.weight[0] + g[1] * s.weight[1] + g[2] * s.weight[2];
  for (int i = 0; i < 3; ++i) {
    const int a = (i + 1) % 3, b = (i + 2) % 3;
    const float e = (g[i] - mean) / s.area;
    grad[3 * a] += e * f.y[b], grad[3 * a + 1] -= e * f.x[b];
    grad[3 * b] -= e * f.y[a], grad[3 * b + 1] += e * f.x[a];
  }
  const int i = s.edge, j = i == 2 ? 0 : i + 1;
  const float x = f.x[i] + s.along * (f.x[j] - f.x[i]), y = f.y[i] + s.along * (f.y[j] - f.y[i]);
  const float d = 2.f * (at.inside ? -grad_distance : grad_distance);
  grad[3 * i] += d * (1.f - s.along) * x, grad[3 * i + 1] += d * (1.f - s.along) * y;
  grad[3 * j] += d * s.along * x, grad[3 * j + 1] += d * s.along * y;
}

}  // namespace deep3dmap

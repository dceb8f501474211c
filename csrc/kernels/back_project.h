// Back-projection of image features (Sun et al. 2021, section 3.1): projection of a position into a view and the sampled pixels.
#pragma once

#include <cfloat>
#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

struct BackProjectViews {
  const float* projection;  // (views, 3, 4) pixel from world, with pixel centres at integers
  const float* positions;   // (count, 3) world
  int64_t count;
  int views, channels, height, width;  // height and width are at least 2
};

// Feature maps and their gradient are stored as (views, height, width, channels), so that the channels of a pixel are contiguous.
struct BackProjectResult {
  float* mean;    // (count, channels)
  float* depth;   // (count), mean over the views that see the position
  int32_t* seen;  // (count), number of these views
};

struct BackProjectSight {
  float column, row, depth;  // of the position, in pixels of the view; within the map if visible
  int visible;               // 0 or 1
};

// The four pixels around a sampling position: `corner` and its neighbours to the right and below. All four are in the map.
struct BackProjectTaps {
  int64_t corner;
  float weight[4];  // corner, right, below, below right
};

// Uses the same operations in the same order as the torch reference, so that positions on a border are classified identically.
// Branch-free, so that the compiler vectorises a loop over positions. NaN fails every comparison and is not visible.
DEEP3DMAP_HD BackProjectSight back_project_sight(const float* matrix, float x, float y, float z, float right, float bottom) {
  BackProjectSight sight;
  const float across = matrix[0] * x + matrix[1] * y + matrix[2] * z + matrix[3];
  const float down = matrix[4] * x + matrix[5] * y + matrix[6] * z + matrix[7];
  sight.depth = matrix[8] * x + matrix[9] * y + matrix[10] * z + matrix[11];
  const float safe = sight.depth > 0.f ? sight.depth : 1.f;
  const float u = 2.f * (across / safe) / right - 1.f, v = 2.f * (down / safe) / bottom - 1.f;
  sight.visible = (sight.depth > 0.f) & (sight.depth <= FLT_MAX) & (u >= -1.f) & (u <= 1.f) & (v >= -1.f) & (v <= 1.f);
  sight.column = (u + 1.f) * 0.5f * right;
  sight.row = (v + 1.f) * 0.5f * bottom;
  return sight;
}

// The upper left of the four pixels around a sampling position, and the fractions beyond it, in [0, 1].
struct BackProjectCorner {
  int left, top;
  float across, down;
};

DEEP3DMAP_HD BackProjectCorner back_project_corner(const BackProjectViews& views, float column, float row) {
  int left = static_cast<int>(column), top = static_cast<int>(row);
  // On the last column or row the right or lower tap has the full weight.
  if (left > views.width - 2) left = views.width - 2;
  if (top > views.height - 2) top = views.height - 2;
  return {left, top, column - static_cast<float>(left), row - static_cast<float>(top)};
}

// weight: corner, right, below, below right.
DEEP3DMAP_HD void back_project_weights(float across, float down, float* weight) {
  weight[0] = (1.f - across) * (1.f - down);
  weight[1] = across * (1.f - down);
  weight[2] = (1.f - across) * down;
  weight[3] = across * down;
}

DEEP3DMAP_HD BackProjectTaps back_project_taps(const BackProjectViews& views, float column, float row) {
  const BackProjectCorner corner = back_project_corner(views, column, row);
  BackProjectTaps taps;
  taps.corner = static_cast<int64_t>(corner.top) * views.width + corner.left;
  back_project_weights(corner.across, corner.down, taps.weight);
  return taps;
}

}  // namespace deep3dmap

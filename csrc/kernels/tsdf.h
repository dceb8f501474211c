// Projective TSDF integration (Curless and Levoy 1996), one column of voxels at a time.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace deep3dmap {

struct TsdfFrame {
  const float* depth;        // (height, width) metres, 0 = invalid
  const float* image;        // (3, height, width) or null
  int height, width;
  float fx, fy, cx, cy;      // pixels, centres at +0.5
  float rotation[9];         // camera_from_world, row-major
  float translation[3];
  float max_depth;
};

struct TsdfGrid {
  float* tsdf;               // (nx, ny, nz), in truncation units
  float* weight;             // (nx, ny, nz)
  float* color;              // (3, nx, ny, nz) or null
  int64_t nx, ny, nz;
  float origin[3];           // sample point of voxel (0, 0, 0)
  float voxel_size, truncation;
};

struct TsdfColumn {
  float start[3];            // camera coordinates of voxel z = 0
  float step[3];             // from one voxel to the next
  int64_t first, last;       // voxels [first, last) that may project into the image
};

// Narrows [first, last) to where a + b * k >= 0, with a margin of one voxel; the kernel does the exact test.
DEEP3DMAP_HD void clip_interval(float a, float b, float& first, float& last) {
  const float root = -a / b;
  if (b > 0.f && root - 1.f > first) first = root - 1.f;
  if (b < 0.f && root + 2.f < last) last = root + 2.f;
  if (b == 0.f && a < 0.f) last = first;
}

DEEP3DMAP_HD TsdfColumn tsdf_column(const TsdfGrid& grid, const TsdfFrame& frame, int64_t x, int64_t y) {
  TsdfColumn column;
  const float px = grid.origin[0] + x * grid.voxel_size, py = grid.origin[1] + y * grid.voxel_size, pz = grid.origin[2];
  for (int i = 0; i < 3; ++i) {
    const float* row = frame.rotation + 3 * i;
    column.start[i] = row[0] * px + row[1] * py + row[2] * pz + frame.translation[i];
    column.step[i] = row[2] * grid.voxel_size;
  }
  const float* s = column.start;
  const float* d = column.step;
  float first = 0.f, last = static_cast<float>(grid.nz);
  clip_interval(s[2], d[2], first, last);
  clip_interval(frame.max_depth + grid.truncation - s[2], -d[2], first, last);
  clip_interval(frame.fx * s[0] + frame.cx * s[2], frame.fx * d[0] + frame.cx * d[2], first, last);
  clip_interval(frame.fy * s[1] + frame.cy * s[2], frame.fy * d[1] + frame.cy * d[2], first, last);
  const float right = frame.width - frame.cx, bottom = frame.height - frame.cy;
  clip_interval(right * s[2] - frame.fx * s[0], right * d[2] - frame.fx * d[0], first, last);
  clip_interval(bottom * s[2] - frame.fy * s[1], bottom * d[2] - frame.fy * d[1], first, last);
  const float top = static_cast<float>(grid.nz);
  column.first = first > 0.f ? static_cast<int64_t>(first < top ? first : top) : 0;
  column.last = last < top ? static_cast<int64_t>(last > 0.f ? last : 0.f) : grid.nz;
  return column;
}

// NaN becomes 0.
DEEP3DMAP_HD float within(float value, float high) {
  const float positive = value > 0.f ? value : 0.f;
  return positive < high ? positive : high;
}

// Measurement of a voxel: its pixel, -1 if the voxel is not updated, and the value in truncation units.
struct TsdfMeasure {
  int pixel;
  float value;
};

// Branch-free, so that the compiler vectorises the loop over a column. Non-finite depths never update a voxel, because
// `max_depth` is finite.
DEEP3DMAP_HD TsdfMeasure tsdf_measure(const TsdfFrame& frame, const TsdfColumn& column, float truncation, int64_t k) {
  const float kf = static_cast<float>(static_cast<int>(k));
  const float x = column.start[0] + kf * column.step[0];
  const float y = column.start[1] + kf * column.step[1];
  const float z = column.start[2] + kf * column.step[2];
  const float inverse = 1.f / (z > 1e-6f ? z : 1e-6f);
  const float u = frame.fx * (x * inverse) + frame.cx, v = frame.fy * (y * inverse) + frame.cy;
  const bool inside = (z > 1e-6f) & (u >= 0.f) & (v >= 0.f) & (u < frame.width) & (v < frame.height);
  // Clamped to the image instead of selected by `inside`: a conditional address would prevent vectorisation.
  const int pixel = static_cast<int>(within(v, frame.height - 1.f)) * frame.width + static_cast<int>(within(u, frame.width - 1.f));
  const float measured = frame.depth[pixel];
  const float distance = measured - z;
  const bool update = inside & (measured > 0.f) & (measured <= frame.max_depth) & (distance >= -truncation);
  const float scaled = distance / truncation;
  return {update ? pixel : -1, scaled < 1.f ? scaled : 1.f};
}

// Running mean of a voxel after a measurement; the caller increments the weight.
DEEP3DMAP_HD float tsdf_mean(float tsdf, float weight, float value) { return (tsdf * weight + value) / (weight + 1.f); }

// Updates a voxel; returns the measured pixel, -1 if the voxel is unchanged.
DEEP3DMAP_HD int tsdf_voxel(const TsdfFrame& frame, const TsdfColumn& column, float truncation, int64_t k, float* tsdf, float* weight) {
  const TsdfMeasure measure = tsdf_measure(frame, column, truncation, k);
  const bool update = measure.pixel >= 0;
  const float old = weight[k], mean = tsdf_mean(tsdf[k], old, measure.value);
  tsdf[k] = update ? mean : tsdf[k];
  weight[k] = update ? old + 1.f : old;
  return measure.pixel;
}

// Updates the running mean of one channel. `weight` has already been incremented; `pixel` is -1 without a measurement.
DEEP3DMAP_HD void tsdf_color(const float* channel, int pixel, float weight, float* color) {
  const float old = *color;
  const float mean = old + (channel[pixel < 0 ? 0 : pixel] - old) / (weight > 1.f ? weight : 1.f);
  *color = pixel < 0 ? old : mean;
}

}  // namespace deep3dmap

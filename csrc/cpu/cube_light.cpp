#include "cpu/cube_light.h"

#include <algorithm>
#include <cmath>

#include "cpu/value_noise.h"

namespace deep3dmap::cpu {
namespace {

constexpr int kBlock = 512;

// Position of a block of points in the cube: depth, the first of four pixels, and the fractions towards the other three.
struct OnCube {
  float depth[kBlock], right[kBlock], down[kBlock];
  int pixel[kBlock];
};

// NaN maps to the first pixel.
DEEP3DMAP_HD float pixel_of(float place, float last) {
  const float below = std::floor(place), least = below > 0.f ? below : 0.f;
  return least < last ? least : last;
}

// Projects a point, relative to the light, into the cube.
DEEP3DMAP_HD void look_up(float x, float y, float z, int side, OnCube& at, int i) {
  const float across = std::fabs(x), along = std::fabs(y), up = std::fabs(z), last = static_cast<float>(side - 2);
  const bool second = along >= up;
  const float other = second ? along : up;
  const bool first = across >= other;
  const float main = first ? x : (second ? y : z), beside = first ? y : (second ? z : x), under = first ? z : (second ? x : y);
  const float size = first ? across : other, depth = size > 1e-6f ? size : 1e-6f, half = 0.5f * last;
  const float below = main > 0.f ? under : -under, number = (first ? 0.f : (second ? 2.f : 4.f)) + (main > 0.f ? 1.f : 0.f);
  const float column = half * beside / depth + (half + 0.5f), row = half * below / depth + (half + 0.5f);
  const float left = pixel_of(column, last), top = pixel_of(row, last);
  at.depth[i] = depth;
  at.right[i] = column - left;
  at.down[i] = row - top;
  at.pixel[i] = (static_cast<int>(number) * side + static_cast<int>(top)) * side + static_cast<int>(left);
}

DEEP3DMAP_DISPATCH_FMA void add_block(const CubeLight& light, const float* points, const float* normals, int64_t total, int count,
                                      float* __restrict received) {
  const float place[3] = {light.place[0], light.place[1], light.place[2]}, power = light.power, lift = light.lift;
  const float *x = points, *y = points + total, *z = points + 2 * total;
  const float *nx = normals, *ny = normals + total, *nz = normals + 2 * total;
  OnCube at;
  const int side = light.side;
  for (int i = 0; i < count; ++i)
    look_up(x[i] + lift * nx[i] - place[0], y[i] + lift * ny[i] - place[1], z[i] + lift * nz[i] - place[2], side, at, i);
  float seen[kBlock];
  const float* cube = light.cube;
  for (int i = 0; i < count; ++i) {
    const float* four = cube + at.pixel[i];
    const float lit[4] = {at.depth[i] < four[0] ? 1.f : 0.f, at.depth[i] < four[1] ? 1.f : 0.f,
                          at.depth[i] < four[side] ? 1.f : 0.f, at.depth[i] < four[side + 1] ? 1.f : 0.f};
    seen[i] = lerp(lerp(lit[0], lit[1], at.right[i]), lerp(lit[2], lit[3], at.right[i]), at.down[i]);
  }
  for (int i = 0; i < count; ++i) {
    const float a = place[0] - x[i], b = place[1] - y[i], c = place[2] - z[i];
    const float squared = a * a + b * b + c * c, facing = a * nx[i] + b * ny[i] + c * nz[i];
    const float cosine = (facing > 0.f ? facing : 0.f) / std::sqrt(squared + 1e-6f);
    received[i] = std::fma(cosine * power / (squared * 0.45f + 0.8f), seen[i], received[i]);
  }
}

}  // namespace

void cube_light(const CubeLight& light, const float* points, const float* normals, int64_t count, float* received, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t first = 0; first < count; first += kBlock)
    add_block(light, points + first, normals + first, count, static_cast<int>(std::min<int64_t>(kBlock, count - first)),
              received + first);
}

}  // namespace deep3dmap::cpu

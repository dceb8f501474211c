// Argument checks of the bindings, so that no kernel reads or writes out of bounds. Ids and rows are checked on the CPU only: on
// CUDA this would synchronise with the device, so deep3dmap.ops checks them before the call.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <climits>
#include <cstdint>
#include <string>
#include <type_traits>

namespace deep3dmap {

inline void require(bool fits, const char* what) {
  if (!fits) throw nanobind::value_error(what);
}

template <typename T>
int64_t size(const T& array, size_t axis) {
  return static_cast<int64_t>(array.shape(axis));
}

// Kernels use int for the number of pixels and the sides of an image.
template <typename Image>
void require_pixels(const Image& image, size_t row_axis = 0) {
  const size_t height = image.shape(row_axis), width = image.shape(row_axis + 1);
  require(height <= INT_MAX && width <= INT_MAX && (width == 0 || height <= INT_MAX / width), "an image must have fewer than 2^31 pixels");
}

// The leading `axes` must agree: rows and columns, or images, rows and columns.
template <typename Left, typename Right>
void require_same_pixels(const Left& left, const Right& right, size_t axes = 2) {
  for (size_t i = 0; i < axes; ++i) require(left.shape(i) == right.shape(i), "the images differ in size");
}

// Requires every id to be in [least, count).
template <typename Device, typename Ids>
void require_ids(const Ids& ids, int64_t least, int64_t count, const char* what) {
  if constexpr (std::is_same_v<Device, nanobind::device::cpu>) {
    const auto* values = ids.data();
    int64_t low = least, high = least;
    for (size_t i = 0, size = ids.size(); i < size; ++i) {
      const int64_t id = values[i];
      low = id < low ? id : low;
      high = id > high ? id : high;
    }
    require(low >= least && (high < count || high == -1 || ids.size() == 0), what);
  }
}

// Requires offsets to be non-decreasing from 0 to `count`.
template <typename Device, typename Offsets>
void require_non_decreasing(const Offsets& offsets, int64_t count, const char* what) {
  require(offsets.shape(0) > 0, what);
  if constexpr (std::is_same_v<Device, nanobind::device::cpu>) {
    const int64_t* values = offsets.data();
    const size_t last = offsets.shape(0) - 1;
    bool rises = values[0] == 0 && values[last] == count;
    for (size_t i = 0; i < last; ++i) rises = rises && values[i] <= values[i + 1];
    require(rises, what);
  }
}

// vertices: (V, 3), or with `axis` 1, (images, V, 3).
template <typename Device, typename Vertices, typename Faces>
void require_mesh(const Vertices& vertices, const Faces& faces, size_t axis = 0) {
  require(vertices.shape(axis + 1) == 3 && faces.shape(1) == 3, "vertices and faces must have 3 columns");
  require_ids<Device>(faces, 0, static_cast<int64_t>(vertices.shape(axis)), "a face has a corner index out of range");
}

// Fragments of a batch: depth and face_id (images, H, W), barycentrics (images, H, W, 3).
template <typename Vertices, typename Depth, typename FaceId, typename Barycentrics>
void require_fragments(const Vertices& vertices, const Depth& depth, const FaceId& face_id, const Barycentrics& barycentrics) {
  require(vertices.shape(0) == depth.shape(0), "there must be an image for each mesh");
  require_pixels(depth, 1);
  require_same_pixels(depth, face_id, 3);
  require_same_pixels(depth, barycentrics, 3);
  require(barycentrics.shape(3) == 3, "there must be 3 barycentrics");
}

// Scratch of the CUDA z-buffers: two values, and an entry for each face of each image, to queue it for a warp.
template <typename Scratch, typename Vertices, typename Faces>
void require_scratch(const Scratch& scratch, const Vertices& vertices, const Faces& faces) {
  require(scratch.shape(0) == vertices.shape(0) * faces.shape(0) + 2,
          "scratch must have an entry for each face of each image, and two more");
}

// Face id -1 means no face.
template <typename Device, typename Ids, typename Faces>
void require_face_ids(const Ids& face_id, const Faces& faces) {
  require_ids<Device>(face_id, -1, static_cast<int64_t>(faces.shape(0)), "a pixel has the id of a face that is not there");
}

}  // namespace deep3dmap

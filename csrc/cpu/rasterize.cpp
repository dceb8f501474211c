#include "cpu/rasterize.h"

#include "cpu/draw_faces.h"

namespace deep3dmap::cpu {

void rasterize(const RasterizeInput& input, const Fragments& out, int threads) {
  draw_faces(input, out, [](float) { return true; }, threads);
}

}  // namespace deep3dmap::cpu

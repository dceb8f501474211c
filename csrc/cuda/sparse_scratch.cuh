#pragma once

#include "cuda/check.cuh"

namespace deep3dmap::cuda {

inline void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

// Stream-ordered device memory of one launch.
template <typename T>
class Scratch {
 public:
  Scratch(int64_t count, cudaStream_t stream) : stream_(stream) {
    if (count > 0) check(cudaMallocAsync(&data_, count * sizeof(T), stream), "sparse: scratch memory");
  }
  ~Scratch() {
    if (data_) cudaFreeAsync(data_, stream_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return static_cast<T*>(data_); }

  // Sets every byte to `byte`.
  void fill(int byte, int64_t count) {
    if (count > 0) check(cudaMemsetAsync(data_, byte, count * sizeof(T), stream_), "sparse: scratch memory");
  }

  // The host array may be freed once this returns: it is not page-locked, so CUDA has staged it.
  void copy_from(const T* host, int64_t count) {
    if (count > 0) check(cudaMemcpyAsync(data_, host, count * sizeof(T), cudaMemcpyHostToDevice, stream_), "sparse: scratch memory");
  }

 private:
  cudaStream_t stream_;
  void* data_ = nullptr;
};

}  // namespace deep3dmap::cuda

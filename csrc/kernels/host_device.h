// Qualifiers of functions compiled by both backends: OpenMP loops call them on the host, CUDA kernels on the device.
#pragma once

#if defined(__CUDACC__)
#define DEEP3DMAP_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define DEEP3DMAP_HD inline __attribute__((always_inline))
#else
#define DEEP3DMAP_HD inline
#endif

// Also compiles a function for AVX2 and selects the version at run time. OpenMP regions are not cloned: call the function from
// inside them. Disabled with sanitizers, because the selection runs before they are initialised.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && !defined(__SANITIZE_ADDRESS__)
#define DEEP3DMAP_DISPATCH __attribute__((target_clones("avx2", "default")))
#else
#define DEEP3DMAP_DISPATCH
#endif

// The same for kernels that call std::fma, which rounds once on every processor but is fast only as a native instruction.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && !defined(__CUDACC__) && !defined(__SANITIZE_ADDRESS__)
#define DEEP3DMAP_DISPATCH_FMA __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define DEEP3DMAP_DISPATCH_FMA
#endif

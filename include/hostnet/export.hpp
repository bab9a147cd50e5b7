// Marks the functions and classes of the public ABI. Every other symbol of libhostnet is hidden.
#pragma once

#if defined(__GNUC__)
#define HOSTNET_EXPORT __attribute__((visibility("default")))
#else
#define HOSTNET_EXPORT  ///< On each class and each non-inline function of the public interface.
#endif

// Which symbols a shared libhostnet shows: what is marked with this is its ABI, all else stays inside.
#pragma once

#if defined(__GNUC__)
#define HOSTNET_EXPORT __attribute__((visibility("default")))
#else
#define HOSTNET_EXPORT  ///< On each class and function of the interface that is not inline.
#endif

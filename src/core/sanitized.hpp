// Whether this is compiled with a sanitizer, of g++ or of clang: then it runs some ten times as slowly, takes
// more memory, and makes system calls of its own.
#pragma once

// g++ has macros, clang 14 a feature to ask for.
#ifndef __has_feature
#define __has_feature(feature) 0
#endif

namespace hostnet {

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
inline constexpr bool kAddressSanitized = true;
#else
inline constexpr bool kAddressSanitized = false;
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
inline constexpr bool kThreadSanitized = true;
#else
inline constexpr bool kThreadSanitized = false;
#endif

inline constexpr bool kSanitized = kAddressSanitized || kThreadSanitized;

}  // namespace hostnet

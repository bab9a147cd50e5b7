// Whether this build uses a sanitizer, of g++ or of clang. It then runs some ten times slower, takes more
// memory and makes extra system calls.
#pragma once

// g++ defines macros; clang 14 has __has_feature.
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

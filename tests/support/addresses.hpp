// For tests that write addresses as texts.
#pragma once

#include "core/ipv4.hpp"

#include <string_view>

namespace test {

/// Throws std::bad_optional_access where it is none.
inline hostnet::Ipv4 ip(std::string_view text) { return hostnet::Ipv4::parse(text).value(); }

}  // namespace test

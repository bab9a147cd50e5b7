// IPv4 addresses from text.
#pragma once

#include "core/ipv4.hpp"

#include <string_view>

namespace test {

/// Throws std::bad_optional_access for an invalid address.
inline hostnet::Ipv4 ip(std::string_view text) { return hostnet::Ipv4::parse(text).value(); }

}  // namespace test

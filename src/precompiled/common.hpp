// What most sources include, read by the compiler once for each library: a quarter to a third of its time.
// Sources include what they use all the same, and build without it (-Db_pch=false).
#ifndef HOSTNET_PRECOMPILED_COMMON_HPP  // g++ takes `#pragma once` ill of a header that it compiles by itself
#define HOSTNET_PRECOMPILED_COMMON_HPP

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#endif

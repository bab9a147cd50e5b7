// What names this process in the labels of everything that it makes, as the other testcontainers libraries do
// it.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace hostnet::exposer {

/// The value of kTestRunLabel: random, the same for the whole of this process. Thread-safe. @throws Error.
const std::string& test_run_id();

inline constexpr std::string_view kTestRunLabel = "org.testcontainers.sessionId";

/// The labels of a container or network that is to be gone when this process is: those of the other
/// libraries, the owner, and its own kCreationLabel.
std::map<std::string, std::string> test_run_labels();

}  // namespace hostnet::exposer

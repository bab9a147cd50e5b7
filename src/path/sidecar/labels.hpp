// The labels on the containers and networks that this library makes, named once for the code that writes them
// and the code that searches by them. (Those of sidecars and owners are in target/alias_holders.hpp, the labels that
// ask `watch` for ports in watch/plan.hpp.)
#pragma once

#include "target/alias_holders.hpp"

#include <map>
#include <string>
#include <string_view>

namespace hostnet::exposer {

using Labels = std::map<std::string, std::string>;

// Labels of all testcontainers libraries, which also own every other label that begins with the first one.
inline constexpr const char* kFamilyLabel = "org.testcontainers";
inline constexpr const char* kLanguageLabel = "org.testcontainers.lang";
inline constexpr const char* kVersionLabel = "org.testcontainers.version";
/// Carries test_run_id().
inline constexpr const char* kTestRunLabel = "org.testcontainers.sessionId";
/// On each reused container: carries the hash of its description.
inline constexpr const char* kHashLabel = "org.testcontainers.hash";

/// On every container of ours, with a unique value, which no image can have.
inline constexpr const char* kCreationLabel = "io.github.tchostnet.creation";
/// On every network that this library makes, in any process: carries the network's name.
inline constexpr const char* kNetworkLabel = "io.github.tchostnet.network";

/// The two labels on everything that a testcontainers library makes: the family's, and its language.
Labels family_labels();

/// A value for kCreationLabel. @throws Error.
std::string creation_value();

/// Identifies this process in the labels of everything that it makes, as in the other testcontainers
/// libraries: random, and constant for the process. Thread-safe. @throws Error.
const std::string& test_run_id();

/// The labels of a container or network that must end with this process: those of the other libraries, the
/// owner, and a kCreationLabel of its own.
Labels test_run_labels();

/// Identifies this process until the next boot: "BOOT-ID/PID-NAMESPACE/PID/START". @throws Error.
std::string owner_label();

/// Whether the process of such a label is known to have ended. False for another boot, which is another
/// machine or one that has lost its containers, and for another pid namespace, whose processes are not
/// visible here.
bool owner_has_ended(std::string_view label);

}  // namespace hostnet::exposer

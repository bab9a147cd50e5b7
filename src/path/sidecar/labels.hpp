// The labels on what this library makes at an engine: each is named here once, for those who write it and
// those who find things by it. (Labels by which others ask `watch` for ports are in watch/plan.hpp.)
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace hostnet::exposer {

using Labels = std::map<std::string, std::string>;

// Those of all testcontainers libraries. Other labels that begin with the first one are theirs, too.
inline constexpr const char* kFamilyLabel = "org.testcontainers";
inline constexpr const char* kLanguageLabel = "org.testcontainers.lang";
inline constexpr const char* kVersionLabel = "org.testcontainers.version";
/// Carries test_run_id().
inline constexpr const char* kTestRunLabel = "org.testcontainers.sessionId";
/// On each reused container: carries the hash of its description.
inline constexpr const char* kHashLabel = "org.testcontainers.hash";

/// Carries the lease's id; every sidecar of ours has it.
inline constexpr const char* kLeaseLabel = "io.github.tchostnet.lease";
/// Carries the owner, as owner_label() writes it.
inline constexpr const char* kOwnerLabel = "io.github.tchostnet.owner";
/// Carries the id of the network on which the sidecar answers to the alias by DNS.
inline constexpr const char* kAliasLabel = "io.github.tchostnet.alias-network";
/// On every container of ours, with a value that no other has, and hence no image either.
inline constexpr const char* kCreationLabel = "io.github.tchostnet.creation";
/// On every network that this library has made, whichever process did: carries its name.
inline constexpr const char* kNetworkLabel = "io.github.tchostnet.network";

/// The two labels on everything that a testcontainers library makes: the family's, and its language.
Labels family_labels();

/// A value for kCreationLabel. @throws Error.
std::string creation_value();

/// Names this process in the labels of everything that it makes, as the other testcontainers libraries do:
/// random, the same for the whole of the process. Thread-safe. @throws Error.
const std::string& test_run_id();

/// The labels of a container or network that is to be gone when this process is: those of the other
/// libraries, the owner, and a kCreationLabel of its own.
Labels test_run_labels();

/// Names this process for as long as this boot lasts: "BOOT-ID/PID-NAMESPACE/PID/START". @throws Error.
std::string owner_label();

/// Whether the process of such a label is known to have ended. False when it cannot be told from here:
/// another boot is another machine or a machine that has lost its containers, another pid namespace is not
/// ours to judge.
bool owner_has_ended(std::string_view label);

}  // namespace hostnet::exposer

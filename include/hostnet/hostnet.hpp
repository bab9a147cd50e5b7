// Everything, for `#include <hostnet/hostnet.hpp>`.
#pragma once

#include "hostnet/error.hpp"
#include "hostnet/export.hpp"
#include "hostnet/exposer.hpp"
#include "hostnet/exposure.hpp"
#include "hostnet/log.hpp"
#include "hostnet/path.hpp"
#include "hostnet/port.hpp"
#include "hostnet/target.hpp"
#include "hostnet/version.hpp"

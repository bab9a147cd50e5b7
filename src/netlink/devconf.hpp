// The numbers by which netlink knows the settings of net.ipv4.conf (IPV4_DEVCONF_* of linux/ip.h), without
// the struct iphdr of that header: <netinet/ip.h>, which libiptc includes, has another of that name.
#pragma once

#define iphdr linux_iphdr
#include <linux/ip.h>
#undef iphdr

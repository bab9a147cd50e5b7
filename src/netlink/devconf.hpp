// IPV4_DEVCONF_* of linux/ip.h: netlink's numbers for the settings in net.ipv4.conf. Renames that header's
// struct iphdr, because <netinet/ip.h>, which libiptc includes, defines another of that name.
#pragma once

#define iphdr linux_iphdr
#include <linux/ip.h>
#undef iphdr

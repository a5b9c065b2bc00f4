// SPDX-License-Identifier: MIT
#include "knockd/client/options.h"

namespace knockd::client {

const char* usage_text() {
  return "usage: knock [options] HOST PORT[:PROTO]...\n"
         "       knock [options] HOST --door NAME [--config FILE]\n"
         "       knock [options] HOST --one-time FILE\n"
         "       knock --page HOST PORT...|--door NAME >knock.html\n"
         "       knock [options] HOST PORT|totp... --secret FILE [--user NAME]\n"
         "\n"
         "Sends a packet to each PORT of HOST, in order. PROTO is tcp or udp; ports may also\n"
         "stand in one list, 7000,8000:udp,9000.\n"
         "\n"
         "  -u, --udp              knock by udp where no PROTO is given (else by tcp)\n"
         "  -d, --delay TIME       wait TIME between knocks: 300, 300ms, 0.3 or 0.3s (50ms)\n"
         "  -4, --ipv4             use IPv4\n"
         "  -6, --ipv6             use IPv6\n"
         "  -v, --verbose          say what is done\n"
         "  -V, --version          print the version and leave\n"
         "  -h, --help             print this and leave\n"
         "\n"
         "      --check [PORT]     then connect to PORT (that of the door) and say whether it\n"
         "                         opened\n"
         "      --proxy PORT       the same, and carry standard input and output over it\n"
         "      --timeout TIME     for how long to try this: 5, 5s or 500ms (5s)\n"
         "      --retry N          knock up to N times again if it did not open\n"
         "\n"
         "      --door NAME        take the knocks from this door of a knockd.conf\n"
         "      --config FILE      the knockd.conf to look in\n"
         "      --one-time FILE    take the next of the sequences in FILE and mark it as used\n"
         "      --secret FILE      for ports that change with time: totp, or 400xx and the like\n"
         "      --user NAME        whose secret of those in FILE\n"
         "      --keep TIME        knock again before the door shuts, which is open for TIME, and\n"
         "                         when the own address changes; until a signal comes\n"
         "      --target HOST      HOST, as an option\n"
         "      --sequence LIST    ports, as an option\n"
         "\n"
         "      --page             print a page with which any browser knocks\n"
         "      --export FORMAT    print the knocks for an app: knockonports (Android)\n"
         "\n"
         "      --interface IF     send by this interface\n"
         "      --source ADDRESS   send from this address\n"
         "      --flags LIST       TCP flags to knock with, such as fin,!ack (needs privilege)\n";
}

}  // namespace knockd::client

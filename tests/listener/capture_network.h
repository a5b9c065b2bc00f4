// SPDX-License-Identifier: MIT
// OwnNetwork for tests that capture on its devices; skips them where nothing can capture.
#pragma once

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "knockd/base/unique_fd.h"
#include "tests/base/own_network.h"

namespace knockd {

class CaptureNetwork : public OwnNetwork {
 protected:
  void SetUp() override {
    OwnNetwork::SetUp();
    if (!IsSkipped() && !can_ask_for_time_stamps()) {
      GTEST_SKIP() << "no ETHTOOL_GET_TS_INFO, without which libpcap captures on no device: qemu's "
                      "emulation of one program does not have it";
    }
  }

 private:
  // libpcap's first request to a device. A kernel may refuse it (EOPNOTSUPP), but knows the call.
  static bool can_ask_for_time_stamps() {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ethtool_ts_info info{};
    info.cmd = ETHTOOL_GET_TS_INFO;
    ifreq request{};
    std::strcpy(request.ifr_name, "wan");
    request.ifr_data = reinterpret_cast<char*>(&info);
    return ioctl(socket.get(), SIOCETHTOOL, &request) == 0 || errno != ENOSYS;
  }
};

}  // namespace knockd

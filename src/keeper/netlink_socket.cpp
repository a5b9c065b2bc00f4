// SPDX-License-Identifier: MIT
#include "knockd/keeper/netlink_socket.h"

// Kernel headers first: libnl-tiny has copies of its own for systems without them.
#include <linux/netlink.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>

namespace knockd {

void NetlinkSocketCloser::operator()(nl_sock* socket) const { nl_socket_free(socket); }

Fault netlink_fault(const char* what) {
  if (errno == 0) errno = EIO;
  return fault_of(what);
}

Result<NetlinkSocket> open_netlink_socket(int protocol) {
  errno = 0;
  NetlinkSocket socket(nl_socket_alloc());
  if (socket == nullptr) return netlink_fault("netlink: cannot allocate a socket");
  nl_socket_disable_auto_ack(socket.get());
  // libnl-3 would peek at each message before reading it. Peeking already makes the kernel continue
  // a dump; if the buffer is too full for that, the read fails and removes nothing.
  nl_socket_disable_msg_peek(socket.get());
  if (nl_connect(socket.get(), protocol) < 0) {
    return netlink_fault("netlink: cannot open a socket");
  }
  if (nl_socket_set_nonblocking(socket.get()) < 0) {
    return netlink_fault("netlink: cannot set up the socket");
  }
  return socket;
}

void enlarge_receive_buffer(const NetlinkSocket& socket, int bytes) {
  const int fd = nl_socket_get_fd(socket.get());
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  }
}

Receipt receive(const NetlinkSocket& socket, const TakeMessage& take) {
  sockaddr_nl sender{};
  unsigned char* bytes = nullptr;
  ucred* credentials = nullptr;
  int length = nl_recv(socket.get(), &sender, &bytes, &credentials);
  // No data: 0 in libnl-tiny, NLE_AGAIN in libnl-3.
  if (length == 0 || length == -NLE_AGAIN) return Receipt::kNothing;
  if (length < 0) return Receipt::kLost;
  const std::unique_ptr<unsigned char, decltype(&std::free)> owner(bytes, &std::free);
  if (sender.nl_pid != 0) return Receipt::kMessages;  // not from the kernel
  for (auto* message = reinterpret_cast<nlmsghdr*>(bytes); nlmsg_ok(message, length);
       message = nlmsg_next(message, &length)) {
    take(*message);
  }
  return Receipt::kMessages;
}

}  // namespace knockd

# SPDX-License-Identifier: MIT
# Replaces OpenWrt's /lib/functions/network.sh: each file is a network that is up, and contains its
# device.
# shellcheck shell=dash disable=SC3043

network_get_device() {  # variable network
  local up="$IPKG_INSTROOT/networks/$2"
  [ -f "$up" ] || { unset "$1"; return 1; }  # like the original
  eval "$1=\$(cat \"\$up\")"
}

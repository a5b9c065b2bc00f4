# SPDX-License-Identifier: MIT
# Stands in for OpenWrt's /lib/functions/network.sh: networks that are up are files, the device is
# what is in them.
# shellcheck shell=dash disable=SC3043

network_get_device() {  # variable network
  local up="$IPKG_INSTROOT/networks/$2"
  [ -f "$up" ] || { unset "$1"; return 1; }  # as there
  eval "$1=\$(cat \"\$up\")"
}

# SPDX-License-Identifier: MIT
# Replaces OpenWrt's rules.mk, as far as the feed's Makefile uses it.
INCLUDE_DIR := $(TOPDIR)
INSTALL_DIR := install -d -m 0755
INSTALL_BIN := install -m 0755
INSTALL_CONF := install -m 0600
INSTALL_DATA := install -m 0644

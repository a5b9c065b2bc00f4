# SPDX-License-Identifier: MIT
# Replaces OpenWrt's cmake.mk: the target "configure" calls cmake with the same folders.
PKG_BUILD_DIR ?= $(USE_SOURCE_DIR)
CMAKE_BINARY_DIR = $(PKG_BUILD_DIR)$(if $(CMAKE_BINARY_SUBDIR),/$(CMAKE_BINARY_SUBDIR))
CMAKE_SOURCE_DIR = $(PKG_BUILD_DIR)$(if $(CMAKE_SOURCE_SUBDIR),/$(CMAKE_SOURCE_SUBDIR))

configure:
	mkdir -p $(CMAKE_BINARY_DIR)
	cd $(CMAKE_BINARY_DIR) && cmake -DCMAKE_INSTALL_PREFIX=/usr $(CMAKE_OPTIONS) $(CMAKE_SOURCE_DIR)

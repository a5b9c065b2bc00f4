# SPDX-License-Identifier: MIT
# Replaces LuCI's luci.mk: the target "packages" installs the application into $(OUT)/NAME.
LUCI_NAME := $(notdir $(CURDIR))
PKG_BUILD_DIR := $(OUT)/build
include $(INCLUDE_DIR)/package.mk

define Package/$(LUCI_NAME)/install
	mkdir -p $(PKG_BUILD_DIR) $(1)/www
	cp -R htdocs root $(PKG_BUILD_DIR)/
	$(call Build/Prepare/$(LUCI_NAME))
	cp -R $(PKG_BUILD_DIR)/htdocs/. $(1)/www/
	cp -R $(PKG_BUILD_DIR)/root/. $(1)/
endef

$(eval $(call BuildPackage,$(LUCI_NAME)))

# SPDX-License-Identifier: MIT
# Stands in for OpenWrt's package.mk: the target "packages" installs each package into $(OUT)/NAME.
define BuildPackage
packages: $(1)
$(1):
	$(call Package/$(1)/install,$(OUT)/$(1))
.PHONY: packages $(1)
endef

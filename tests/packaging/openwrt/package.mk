# SPDX-License-Identifier: MIT
# Replaces OpenWrt's package.mk: the target "packages" installs each package into $(OUT)/NAME; with
# DUMP, like the original, it builds nothing and prints the packages.
ifneq ($(DUMP),)
define BuildPackage
$(info Package: $(1))
$(info Maintainer: $(PKG_MAINTAINER))
$(info Build-Depends: $(PKG_BUILD_DEPENDS))
endef
dumpinfo:
	@:
else
define BuildPackage
packages: $(1)
$(1):
	$(call Package/$(1)/install,$(OUT)/$(1))
.PHONY: packages $(1)
endef
endif

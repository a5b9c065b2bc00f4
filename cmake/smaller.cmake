# SPDX-License-Identifier: MIT
# What makes the programs smaller where the compiler, the linker and the system's loader know it.
include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)
include(CheckLinkerFlag)

check_cxx_compiler_flag(-Oz have_smallest)
if(have_smallest)
  target_compile_options(knockd_flags INTERFACE -Oz)
endif()
# Link time optimization sees the whole program at once, not a part for each processor.
check_cxx_compiler_flag(-flto-partition=one have_one_partition)
if(have_one_partition)
  target_link_options(knockd_flags INTERFACE -flto-partition=one)
endif()
# Code and constants share their pages, which then end at no page's border each.
check_linker_flag(CXX -Wl,-z,noseparate-code have_noseparate_code)
if(have_noseparate_code)
  target_link_options(knockd_flags INTERFACE -Wl,-z,noseparate-code)
endif()
# The loader binds all functions at the start, so that calls need no stubs that would bind them later.
# Elsewhere than on x86-64 it is the stubs that are shorter.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  check_cxx_compiler_flag(-fno-plt have_no_plt)
  if(have_no_plt)
    target_compile_options(knockd_flags INTERFACE -fno-plt)
  endif()
endif()
# Packed relocations need a loader that unpacks them: glibc's since 2.36.
set(CMAKE_REQUIRED_LINK_OPTIONS -Wl,--fatal-warnings -Wl,-z,pack-relative-relocs)
check_cxx_source_compiles("
  #include <features.h>
  #if !defined(__GLIBC__) || !__GLIBC_PREREQ(2, 36)
  #error the loader may not know them
  #endif
  int main() {}" have_packed_relocations)
unset(CMAKE_REQUIRED_LINK_OPTIONS)
if(have_packed_relocations)
  target_link_options(knockd_flags INTERFACE -Wl,-z,pack-relative-relocs)
endif()

# SPDX-License-Identifier: MIT
# Makes page_template.inc from page.html: a list of bytes, without comments and indentation, and
# with the hashes of its script and style for its Content-Security-Policy.
file(READ ${CMAKE_CURRENT_SOURCE_DIR}/page.html page)
string(REGEX REPLACE "<!--[^\n]*-->\n" "" page "${page}")
string(REGEX REPLACE "\n +" "\n" page "${page}")
string(REGEX REPLACE "\n//[^\n]*" "" page "${page}")
string(REGEX REPLACE "\n\n+" "\n" page "${page}")

# The base64 of a hash: 4 digits for each 6 of the hexadecimal ones, "=" where the last 2 are missing.
function(knockd_csp_hash tag)
  string(FIND "${page}" "<${tag}>" begin)
  string(FIND "${page}" "</${tag}>" end)
  string(LENGTH "<${tag}>" length)
  math(EXPR begin "${begin} + ${length}")
  math(EXPR length "${end} - ${begin}")
  string(SUBSTRING "${page}" ${begin} ${length} content)
  string(SHA256 hash "${content}")
  set(digits ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
  set(base64 "")
  foreach(at RANGE 0 60 6)
    string(SUBSTRING "${hash}00" ${at} 6 part)
    foreach(shift 18 12 6 0)
      math(EXPR digit "0x${part} >> ${shift} & 63")
      string(SUBSTRING ${digits} ${digit} 1 digit)
      string(APPEND base64 ${digit})
    endforeach()
  endforeach()
  string(REGEX REPLACE ".$" "=" base64 ${base64})  # 32 bytes are 43 digits
  string(TOUPPER ${tag} name)
  string(REPLACE "@${name}_HASH@" ${base64} page "${page}")
  set(page "${page}" PARENT_SCOPE)
endfunction()
knockd_csp_hash(script)
knockd_csp_hash(style)

set(directory ${CMAKE_CURRENT_BINARY_DIR}/generated)
file(WRITE ${directory}/page.new "${page}")
file(READ ${directory}/page.new page HEX)
string(REGEX REPLACE "(..)" "0x\\1," page "${page}")
file(WRITE ${directory}/page.new "${page}\n")
# Only a change of the page causes a rebuild.
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different ${directory}/page.new
  ${directory}/page_template.inc)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS page.html embed_page.cmake)

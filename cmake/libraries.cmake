# The Debian libraries, each under one target name. Which room links which is in the rooms' lists.
find_package(PkgConfig REQUIRED)

function(braid_library target module)
  pkg_check_modules(${target} REQUIRED IMPORTED_TARGET ${module})
  add_library(${target}_library INTERFACE)
  target_link_libraries(${target}_library INTERFACE PkgConfig::${target})
endfunction()

braid_library(jansson jansson)
braid_library(yaml yaml-0.1)
braid_library(sqlite sqlite3)
braid_library(event libevent)
braid_library(crypto libcrypto)
braid_library(pcre2 libpcre2-8)
braid_library(utf8proc libutf8proc)
braid_library(zlib zlib)
braid_library(openblas openblas)
braid_library(cmocka cmocka)

add_library(math_library INTERFACE)
target_link_libraries(math_library INTERFACE m)

# braid_flags: what every file of ours is compiled with.
add_library(braid_flags INTERFACE)
target_include_directories(braid_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(braid_flags INTERFACE _POSIX_C_SOURCE=200809L _XOPEN_SOURCE=700 _DEFAULT_SOURCE)
target_compile_options(braid_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wdouble-promotion -Wformat=2
  -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings -fno-math-errno -ffp-contract=off>)
# Fields left out of an initialiser are zero, and meant so; gcc sees it where others are named. assert(!"why") is meant too.
target_compile_options(braid_flags INTERFACE
  $<$<COMPILE_LANG_AND_ID:C,Clang>:-Wno-missing-field-initializers -Wno-string-conversion>)
# gcc 12 for 64-bit ARM writes induction variables so that a store loses its pointer, finds the function to be pure and
# drops the call.
if(CMAKE_C_COMPILER_ID STREQUAL GNU AND CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  target_compile_options(braid_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-fno-ivopts>)
endif()
if(BRAID_WERROR)
  target_compile_options(braid_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()
if(BRAID_SANITIZE)
  target_compile_options(braid_flags INTERFACE -fsanitize=${BRAID_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(braid_flags INTERFACE -fsanitize=${BRAID_SANITIZE})
endif()
# Asserts guard our own invariants and stay on in release.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

# Builds for 64-bit ARM with Debian's cross compiler, against the libraries that tools/sysroot unpacked; what is built
# runs under qemu. Its preset leaves out the test of guarded programs (evaluator/program/process), since qemu has no
# PR_SET_CHILD_SUBREAPER and their orphans are not seen there, and the scores of the tiles' plain twin, which take
# twenty minutes.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_ASM_COMPILER aarch64-linux-gnu-gcc)

get_filename_component(CMAKE_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-root ABSOLUTE)
set(libraries usr/lib/aarch64-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L ${CMAKE_SYSROOT}
  -E LD_LIBRARY_PATH=${CMAKE_SYSROOT}/${libraries}/openblas-pthread)

# Libraries are found there only, programs here only. An installed OpenBLAS is reached through Debian's alternatives,
# an unpacked one in its own folder.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${CMAKE_SYSROOT}/${libraries}/pkgconfig:${CMAKE_SYSROOT}/${libraries}/openblas-pthread/pkgconfig)

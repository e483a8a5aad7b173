# room(NAME SOURCES a.c ... USES room ... LIBRARIES target ...): one static library a room.
function(room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  add_library(${name} STATIC ${ROOM_SOURCES})
  target_link_libraries(${name} PRIVATE braid_flags)
  target_link_libraries(${name} PUBLIC ${ROOM_USES})
  target_link_libraries(${name} PUBLIC ${ROOM_LIBRARIES})
endfunction()

# room_test(base/text [USES target ...] [LABEL unit]): tests/base/test_text.c becomes the test "base/text".
function(room_test path)
  cmake_parse_arguments(TEST "" "LABEL" "USES" ${ARGN})
  if(NOT TEST_LABEL)
    set(TEST_LABEL unit)
  endif()
  get_filename_component(folder ${path} DIRECTORY)
  get_filename_component(file ${path} NAME)
  string(REPLACE "/" "_" target "test_${path}")
  add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/${folder}/test_${file}.c)
  target_link_libraries(${target} PRIVATE braid_flags test_support ${TEST_USES} cmocka_library)
  target_compile_definitions(${target} PRIVATE TESTS_DIR="${CMAKE_SOURCE_DIR}/tests"
    $<$<BOOL:${CMAKE_CROSSCOMPILING_EMULATOR}>:TESTS_EMULATED>)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/${folder}
    OUTPUT_NAME test_${file})
  add_test(NAME ${path} COMMAND ${target})
  set_tests_properties(${path} PROPERTIES LABELS ${TEST_LABEL})
endfunction()

# room_tool(bench/ask_tell USES ...): a test program without a test, build/<preset>/tests/bench/ask_tell.
function(room_tool path)
  cmake_parse_arguments(TOOL "" "" "USES" ${ARGN})
  get_filename_component(folder ${path} DIRECTORY)
  get_filename_component(file ${path} NAME)
  string(REPLACE "/" "_" target "tool_${path}")
  add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/${path}.c)
  target_link_libraries(${target} PRIVATE braid_flags test_support ${TOOL_USES})
  target_compile_definitions(${target} PRIVATE TESTS_DIR="${CMAKE_SOURCE_DIR}/tests")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/${folder}
    OUTPUT_NAME ${file})
endfunction()

# cmake -D FOLDER=... -D OUTPUT=... -P embed.cmake: the files of FOLDER, compressed, as OUTPUT.S and a table OUTPUT.c (web/assets.h).
find_program(GZIP gzip REQUIRED)
file(GLOB names RELATIVE ${FOLDER} ${FOLDER}/*.html ${FOLDER}/*.js ${FOLDER}/*.css)
list(SORT names)

set(assembler ".section .rodata\n")
set(externs "")
set(rows "")
set(types_html "text/html; charset=utf-8")
set(types_js "text/javascript; charset=utf-8")
set(types_css "text/css; charset=utf-8")
set(i 0)
foreach(name IN LISTS names)
  # No name and no time in the compressed form: equal pages have equal bytes.
  execute_process(COMMAND ${GZIP} -9 -n -c ${FOLDER}/${name} OUTPUT_FILE ${FOLDER}/${name}.gz COMMAND_ERROR_IS_FATAL ANY)
  file(SHA256 ${FOLDER}/${name}.gz hash)
  string(SUBSTRING ${hash} 0 32 hash)
  string(REGEX REPLACE ".*\\." "" extension ${name})
  set(path /${name})
  if(name STREQUAL "index.html")
    set(path /)
  endif()
  string(APPEND assembler
    ".global asset_${i}\n.global asset_${i}_end\nasset_${i}:\n.incbin \"${FOLDER}/${name}.gz\"\nasset_${i}_end:\n")
  string(APPEND externs "extern const unsigned char asset_${i}[], asset_${i}_end[];\n")
  string(APPEND rows "    {\"${path}\", \"${types_${extension}}\", \"\\\"${hash}\\\"\", asset_${i}, asset_${i}_end},\n")
  math(EXPR i "${i} + 1")
endforeach()
string(APPEND assembler ".section .note.GNU-stack,\"\",%progbits\n")

file(WRITE ${OUTPUT}.S "${assembler}")
file(WRITE ${OUTPUT}.c
  "/* Made by web/embed.cmake. */\n#include \"web/assets.h\"\n\n${externs}\n"
  "static const struct asset assets[] = {\n${rows}};\n\n"
  "const struct asset *asset_list(size_t *n)\n{\n    *n = sizeof(assets) / sizeof(assets[0]);\n    return assets;\n}\n")

# schema.S - schema.sql as a text in the program, found by the include path.
    .section .rodata
    .globl store_schema
    .type store_schema, %object
store_schema:
    .incbin "store/schema.sql"
    .byte 0
    .size store_schema, . - store_schema
    .section .note.GNU-stack, "", %progbits

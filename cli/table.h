/*
 * table.h - rows for a person: columns as wide as they need, numbers to the right.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 36 /* a report of 16 objectives */

struct table {
    size_t n_columns;
    size_t n_rows, capacity;
    char **cells; /* [n_rows, n_columns] */
};

/* heads [n] are the first row. A head that starts with '>' (not printed) makes its column align to
 * the right. */
void table_init(struct table *table, const char *const *heads, size_t n);
/* Start a row; then table_cell once a column, in order. */
void table_row(struct table *table);
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Print with an indent of two blanks and two between columns. */
void table_print(const struct table *table, FILE *to);
void table_release(struct table *table);

#endif

/*
 * amx.h - whether this process may use the processor's matrix units.
 */
#ifndef MODEL_AMX_H
#define MODEL_AMX_H

#include <stdbool.h>

/* True when the processor multiplies bfloat16 tiles, and the system keeps tiles over a change of
 * process and lets this one have them: it is asked at the first call, once. */
bool amx_ready(void);

#endif

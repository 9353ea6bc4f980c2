/*
 * The PostgreSQL decoder: frontend/backend protocol 3.0 and 3.2 (PostgreSQL 15 manual, chapter 55; 18, 54).
 * docs/postgres.md says which messages it takes in which state, and what it refuses.
 */
#ifndef SL_POSTGRES_H
#define SL_POSTGRES_H

#include "sl_decoder.h"

extern const struct sl_decoder sl_postgres_decoder;

#endif

/*
 * A session as a transcript. Takes its records one by one, in order, as the REST API gives them; prints to a
 * stream, so that it can be tested.
 */
#ifndef SLUICE_PLAY_H
#define SLUICE_PLAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define PLAY_ROWS_DEFAULT 50

struct player;

struct player *player_new(FILE *out, bool colour, unsigned long rows_max);
void player_record(struct player *p, const json_t *rec);
/* What is left to print, and frees. */
void player_free(struct player *p);

#endif
